use serde_json::json;

use super::{endpoints, ingress, service};

#[test]
fn digests_keep_no_room_of_what_they_were_made_of() {
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    let path = json!({"path": "/", "pathType": "Prefix", "backend": backend});
    let object = json!({"spec": {"rules": [{"host": "a.example", "http": {"paths": [path]}}], "tls": [{}]}});
    let ingress = ingress::digest(serde_json::from_value(object).unwrap(), None);
    assert_eq!((ingress.rules.capacity(), ingress.tls.capacity()), (1, 1));
    assert_eq!(ingress.rules[0].paths.capacity(), 1);
    let object = json!({"spec": {"ports": [{"port": 80}]}});
    let service = service::digest(serde_json::from_value(object).unwrap(), None);
    assert_eq!(service.ports.capacity(), 1);
    let object = json!({
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": ["192.0.2.1"]}],
    });
    let slice = endpoints::digest(serde_json::from_value(object).unwrap(), None);
    assert_eq!((slice.ports.capacity(), slice.addresses.capacity()), (1, 1));
}

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::digest::{Nodes, Precedence, class, ingress, vippool};
use crate::translate::Allocation;

fn api<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn entry<T>(value: Arc<T>, name: &str) -> Entry<T> {
    let metadata = api(json!({"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}));
    Entry {
        precedence: Precedence::new(&metadata, &Arc::from(""), 0),
        place: None,
        value,
    }
}

/// One Ingress of one class, and these pools, of which what was given out is recorded.
fn snapshot(pools: &[(&str, Value)]) -> Snapshot {
    let node = Arc::from("node");
    let class = api(json!({
        "metadata": {"name": "xdp"},
        "spec": {"controller": "ingress-agent.dev/xdp"},
    }));
    let ingress = api(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ingressClassName": "xdp"},
    }));
    let pools = pools.iter().map(|(name, rest)| {
        let mut pool = json!({
            "apiVersion": "ingress-agent.dev/v1alpha1",
            "kind": "VipPool",
            "metadata": {"name": name},
        });
        for part in ["spec", "status"] {
            pool[part] = rest[part].clone();
        }
        entry(vippool::digest(api(pool), None), name)
    });
    Snapshot {
        classes: vec![entry(class::digest(class, None), "xdp")],
        ingresses: vec![entry(ingress::digest(ingress, None), "web")],
        pools: pools.collect(),
        nodes: Some(Arc::new(Nodes::alone(&node))),
        allocation: Allocation::Recorded,
        ..Snapshot::empty(&node)
    }
}

fn pool(address: &str, labels: &Value) -> Value {
    json!({
        "spec": {"addresses": [address], "nodeSelector": {"matchLabels": labels}},
        "status": {"assignments": [{"address": address, "class": "xdp"}]},
    })
}

fn due(snapshot: &Snapshot) -> Due {
    let all = addresses(snapshot, Controllers::Own).unwrap();
    all.into_values().next().unwrap()
}

fn of(addresses: &[&str]) -> Arc<[IpAddr]> {
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_pool_without_a_ready_node_keeps_no_other_pool_s_address_back() {
    let here = pool("192.0.2.1", &json!({}));
    let unserved = Rest::Unserved(of(&["192.0.2.2"]));
    let nowhere = pool("192.0.2.2", &json!({"zone": "b"}));
    assert_eq!(
        due(&snapshot(&[("a", here.clone())])),
        Due::Addresses(of(&["192.0.2.1"]))
    );
    assert_eq!(
        due(&snapshot(&[("b", nowhere.clone())])),
        Due::AtLeast(of(&[]), unserved.clone())
    );
    let both = snapshot(&[("a", here), ("b", nowhere)]);
    assert_eq!(due(&both), Due::AtLeast(of(&["192.0.2.1"]), unserved));
}

#[test]
fn an_address_that_is_still_to_be_given_keeps_no_other_back() {
    let mut both = pool("192.0.2.1", &json!({}));
    both["spec"]["addresses"] = json!(["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        due(&snapshot(&[("a", both)])),
        Due::AtLeast(of(&["192.0.2.1"]), Rest::All)
    );
}

use kube::CustomResourceExt;

use super::*;

fn read(spec: serde_json::Value) -> Arc<Pool> {
    let object = serde_json::json!({
        "apiVersion": "ingress-agent.dev/v1alpha1", "kind": "VipPool", "metadata": {"name": "edge"}, "spec": spec,
    });
    digest(serde_json::from_value(object).unwrap(), None)
}

#[test]
fn the_definition_is_what_the_design_says() {
    let definition = VipPool::crd();
    assert_eq!(
        definition.metadata.name.as_deref(),
        Some("vippools.ingress-agent.dev")
    );
    assert_eq!(definition.spec.scope, "Cluster");
    let text = serde_json::to_string(&definition).unwrap();
    for field in [
        "addresses",
        "ports",
        "announce",
        "classes",
        "nodeSelector",
        "namespaceSelector",
        "assignments",
        "conditions",
    ] {
        assert!(text.contains(&format!("\"{field}\"")), "{field}");
    }
}

#[test]
fn addresses_of_every_form() {
    let pool = read(serde_json::json!({"addresses": [
        "192.0.2.10", "192.0.2.0/29", "192.0.2.8/31", "192.0.2.20-192.0.2.22", "2001:db8::/64", "2001:db8:1::1 - 2001:db8:1::2",
    ]}));
    assert_eq!(pool.faults, []);
    let ends: Vec<_> = pool
        .ranges
        .iter()
        .map(|range| format!("{}-{}", range.first, range.last))
        .collect();
    assert_eq!(
        ends,
        [
            "192.0.2.10-192.0.2.10",
            "192.0.2.1-192.0.2.6",
            "192.0.2.8-192.0.2.9",
            "192.0.2.20-192.0.2.22",
            "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff",
            "2001:db8:1::1-2001:db8:1::2",
        ]
    );
    let taken = ["192.0.2.20", "192.0.2.21"].map(|address| Range::single(address.parse().unwrap()));
    assert_eq!(
        pool.ranges[3].first_outside(&taken),
        Some("192.0.2.22".parse().unwrap())
    );
    assert_eq!(pool.ranges[3].first_outside(&pool.ranges), None);
    let ports: Vec<_> = pool
        .ports
        .iter()
        .map(|port| (port.number.get(), port.tls))
        .collect();
    assert_eq!(ports, [(80, false), (443, true)]);
}

#[test]
fn what_cannot_be_a_vip_costs_its_entry_alone() {
    for bad in [
        "127.0.0.1",
        "0.0.0.0/0",
        "::1",
        "fe80::1",
        "ff02::1",
        "::ffff:192.0.2.1",
        "169.254.1.1",
        "224.0.0.1",
        "192.0.2.9-192.0.2.1",
        "192.0.2.1-2001:db8::1",
        "192.0.2.1/33",
        "example.com",
        "",
    ] {
        let pool = read(serde_json::json!({"addresses": [bad, "192.0.2.10"]}));
        assert_eq!(pool.ranges.len(), 1, "{bad}");
        assert_eq!(&*pool.faults[0].field, "spec.addresses[0]", "{bad}");
    }
}

#[test]
fn wrong_ports_or_selectors_serve_nothing() {
    let port = |port| serde_json::json!({"port": port, "protocol": "HTTP"});
    let many: Vec<_> = (1..=17).map(port).collect();
    for spec in [
        serde_json::json!({"addresses": ["192.0.2.1"], "ports": [port(80), port(80)]}),
        serde_json::json!({"addresses": ["192.0.2.1"], "ports": [port(0)]}),
        serde_json::json!({"addresses": ["192.0.2.1"], "ports": []}),
        serde_json::json!({"addresses": ["192.0.2.1"], "ports": many}),
        serde_json::json!({"addresses": ["192.0.2.1"], "nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
    ] {
        let pool = read(spec);
        assert_eq!(pool.ranges, [], "{:?}", pool.faults);
        assert_eq!(pool.faults.len(), 1);
    }
}

//! What the API server makes of our CustomResourceDefinition.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use xtask::control_plane::{Binaries, Place, Plane};
use xtask::lab::Scratch;

/// A control plane that knows VipPools.
fn plane() -> Plane {
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
    let scratch = Arc::new(Scratch::begin().unwrap());
    let plane = Plane::start(&scratch, binaries, Place::default(), false).unwrap();
    define(&plane);
    plane
}

/// `ingress-agent crd | kubectl apply -f -`, without a word of warning.
pub(crate) fn define(plane: &Plane) {
    let printed = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .arg("crd")
        .output()
        .unwrap();
    assert!(printed.status.success());
    let yaml = String::from_utf8(printed.stdout).unwrap();
    plane
        .kubectl_with(&["apply", "--warnings-as-errors", "-f", "-"], &yaml)
        .unwrap();
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/vippools.ingress-agent.dev",
    ];
    plane.kubectl(&established).unwrap();
}

fn apply(plane: &Plane, name: &str, spec: serde_json::Value) -> Result<String, String> {
    let pool = json!({
        "apiVersion": "ingress-agent.dev/v1alpha1", "kind": "VipPool", "metadata": {"name": name}, "spec": spec,
    });
    let applied = plane.kubectl_with(&["apply", "--warnings-as-errors", "-f", "-"], &pool.to_string());
    applied.map_err(|error| format!("{error:#}"))
}

#[test]
fn good_pools_are_taken_and_each_rule_refuses_in_its_words() {
    let plane = plane();
    let every_form = json!({
        "addresses": [
            "192.0.2.10", "192.0.2.0/29", "192.0.2.20-192.0.2.22", "2001:db8::/64",
            "2001:db8:1::1 - 2001:db8:1::2", "fd00::1",
        ],
        "ports": [{"port": 80, "protocol": "HTTP"}, {"port": 65535, "protocol": "HTTPS"}],
        "announce": "Routes",
        "classes": ["xdp"],
        "nodeSelector": {"matchLabels": {"edge": "yes"}},
        "namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
    });
    apply(&plane, "every-form", every_form).unwrap();
    apply(&plane, "least", json!({"addresses": ["192.0.2.40"]})).unwrap();
    let sixteen: Vec<_> = (1..=16)
        .map(|port| json!({"port": port, "protocol": "HTTP"}))
        .collect();
    apply(
        &plane,
        "sixteen",
        json!({"addresses": ["192.0.2.41"], "ports": sixteen}),
    )
    .unwrap();

    let form = "write ADDRESS, CIDR or FIRST-LAST";
    let unicast = "are never VIPs";
    let addresses = [
        ("example.com", form),
        ("192.0.2.1/33", form),
        ("192.0.2.1-192.0.2.2-192.0.2.3", form),
        ("192.0.2.1-", form),
        ("::ffff:192.0.2.1", form),
        ("", form),
        ("192.0.2.1-2001:db8::1", "FIRST and LAST are two families"),
        ("127.0.0.1", unicast),
        ("ff02::1", unicast),
        ("fe80::/64", unicast),
        ("0.0.0.0/0", unicast),
        ("127.0.0.1-127.0.0.9", unicast),
    ];
    for (entry, words) in addresses {
        let refused = apply(&plane, "bad", json!({"addresses": ["192.0.2.50", entry]})).unwrap_err();
        assert!(refused.contains(words), "{entry}: {refused}");
        assert!(refused.contains("spec.addresses[1]"), "{entry}: {refused}");
    }
    let port = |port: u16| json!({"port": port, "protocol": "HTTP"});
    let with = |ports: Vec<serde_json::Value>| json!({"addresses": ["192.0.2.50"], "ports": ports});
    for (spec, words) in [
        (json!({"addresses": []}), "should have at least 1 items"),
        (json!({}), "spec.addresses: Required value"),
        (with(vec![port(80), port(80)]), "a port number stands twice"),
        (with(vec![port(0)]), "greater than or equal to 1"),
        (with(Vec::new()), "at least 1 items"),
        (with((1..=17).map(port).collect()), "Too many: 17"),
        (
            json!({"addresses": ["192.0.2.50"], "announce": "Bgp"}),
            "supported values: \"Routes\"",
        ),
    ] {
        let refused = apply(&plane, "bad", spec.clone()).unwrap_err();
        assert!(refused.contains(words), "{spec}: {refused}");
    }
}

#[test]
fn what_was_decided_is_a_subresource_with_rules_and_columns() {
    let plane = plane();
    apply(&plane, "edge", json!({"addresses": ["192.0.2.0/30"]})).unwrap();
    let decide = |assignments: serde_json::Value| {
        let condition = |kind, status| {
            json!({
                "type": kind, "status": status, "reason": "Test", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let status = json!({"status": {
            "assignments": assignments, "used": 1, "free": 7,
            "conditions": [condition("Ready", "True"), condition("Exhausted", "False")],
        }});
        let status = status.to_string();
        let patch = [
            "patch",
            "vp",
            "edge",
            "--subresource=status",
            "--type=merge",
            "--patch",
            &status,
        ];
        plane.kubectl(&patch).map_err(|error| format!("{error:#}"))
    };
    let together = "name an Ingress together";
    let either = "an address is a class's or an Ingress's";
    for (assignment, words) in [
        (json!({"address": "here", "class": "xdp"}), "write an IP address"),
        (json!({"address": "192.0.2.1"}), either),
        (json!({"address": "192.0.2.1", "namespace": "a"}), together),
        (json!({"address": "192.0.2.1", "name": "b"}), together),
        (
            json!({"address": "192.0.2.1", "class": "xdp", "namespace": "a", "name": "b"}),
            either,
        ),
        (
            json!({"address": "192.0.2.1", "class": ""}),
            "should be at least 1 chars long",
        ),
    ] {
        let refused = decide(json!([assignment])).unwrap_err();
        assert!(refused.contains(words), "{assignment}: {refused}");
    }
    let good = [
        json!({"address": "192.0.2.1", "class": "xdp"}),
        json!({"address": "192.0.2.2", "namespace": "a", "name": "b"}),
    ];
    decide(json!(good)).unwrap();
    let shown = plane.kubectl(&["get", "vippools"]).unwrap();
    let rows: Vec<Vec<_>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let [header, row] = rows.as_slice() else {
        panic!("{shown}");
    };
    assert_eq!(
        *header,
        ["NAME", "ADDRESSES", "USED", "FREE", "READY", "EXHAUSTED", "AGE"]
    );
    assert_eq!(
        row.split_last().unwrap().1,
        ["edge", "[\"192.0.2.0/30\"]", "1", "7", "True", "False"]
    );
    // What is applied leaves the decision alone.
    apply(&plane, "edge", json!({"addresses": ["192.0.2.0/29"]})).unwrap();
    let kept = plane
        .kubectl(&["get", "vp", "edge", "--output=jsonpath={.status.used}"])
        .unwrap();
    assert_eq!(kept, "1");
}

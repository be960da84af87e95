//! The pinned maps, as `bpftool` and `ingress-agent maps` show them.

use std::fs;

use xtask::lab::{VIP_V4, VIP_V6};

use super::Running;

/// Maps whose type the kernel allows BTF on, and fields of their values.
const NAMED: &[(&str, &[&str])] = &[
    ("VIP_ADDRS", &["count", "policy", "ports", "port", "vip", "pool"]),
    (
        "NODES",
        &["address", "dmac", "smac", "ifindex", "mtu", "generation", "state"],
    ),
    ("PEERS", &["node"]),
    ("CONFIG", &["slot_key"]),
    ("HEARTBEAT", &[]),
    ("REASONS", &["packets", "bytes"]),
    ("VIP_TRAFFIC", &["packets", "bytes"]),
    ("NODE_TRAFFIC", &["packets", "bytes"]),
];

#[test]
fn bpftool_shows_the_fields_of_every_map_that_can_carry_btf() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let agent = &agents[0];
    lab.client().echo(VIP_V4, "http://shop.example.test/").unwrap();
    for (map, fields) in NAMED {
        let dump = agent.dump(map).unwrap();
        assert!(
            dump.trim_start().starts_with("[{"),
            "{map} carries no BTF: {}",
            &dump[..dump.len().min(300)]
        );
        for field in *fields {
            assert!(dump.contains(&format!("\"{field}\"")), "{map} shows no {field}");
        }
    }
    for vip in [VIP_V4, VIP_V6] {
        for port in [80, 443] {
            let map = format!("vips/{vip}-{port}-tcp");
            let dump = agent.dump(&map).unwrap();
            assert!(
                dump.contains("\"node\"") && dump.contains("\"state\""),
                "{map} shows no fields"
            );
        }
    }
    let slots = agent.pins().join("slots");
    for pin in fs::read_dir(&slots).into_iter().flatten() {
        let name = format!("slots/{}", pin.unwrap().file_name().to_string_lossy());
        assert!(
            agent.dump(&name).unwrap().contains("\"owner\""),
            "{name} shows no fields"
        );
    }
}

#[test]
fn maps_says_in_words_what_is_pinned() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    lab.router().enter_at(&[1]).unwrap();
    // Enough that some are kept where they enter, and others not.
    for _ in 0..40 {
        lab.client().echo(VIP_V4, "http://shop.example.test/").unwrap();
    }
    let words = agents[0].maps().unwrap();
    for word in ["192.0.2.10", "2001:db8:1::10", "10.1.0.2", "kept", "forwarded"] {
        assert!(words.contains(word), "no {word} in:\n{words}");
    }
}

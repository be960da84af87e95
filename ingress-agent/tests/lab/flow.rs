//! Flows enter at any node and end at their owner.

use std::collections::BTreeSet;

use ingress_common::Reason;
use xtask::lab::{CLIENT_V4, CLIENT_V6, VIP_V4, VIP_V6};

use super::Running;

#[test]
fn a_flow_ends_at_its_owner_wherever_it_enters_and_the_counters_prove_it() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let counters = || -> Vec<_> {
        // The last packets of the last connections are still under way.
        std::thread::sleep(std::time::Duration::from_millis(500));
        agents.iter().map(|agent| agent.counters().unwrap()).collect()
    };
    let before = counters();
    for entry in 1..=3 {
        lab.router().enter_at(&[entry]).unwrap();
        for (vip, client) in [(VIP_V4, CLIENT_V4), (VIP_V6, CLIENT_V6)] {
            let mut owners = BTreeSet::new();
            for _ in 0..40 {
                let echo = lab.client().echo(vip, "http://shop.example.test/").unwrap();
                assert_eq!(
                    echo.header("x-forwarded-for"),
                    client.to_string(),
                    "also through the tunnel"
                );
                owners.extend(echo.node());
            }
            assert_eq!(owners, [1, 2, 3].into(), "entering at node{entry}, to {vip}");
        }
    }
    let after = counters();
    let sum = |reason| -> u64 {
        after
            .iter()
            .zip(&before)
            .map(|(after, before)| after.since(before).get(reason))
            .sum()
    };
    assert!(sum(Reason::Forwarded) > 0 && sum(Reason::Kept) > 0);
    assert_eq!(
        sum(Reason::Forwarded),
        sum(Reason::KeptTunnel),
        "every forwarded packet is accepted by one node"
    );
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after.since(before).dropped(), 0, "{after:?}");
    }
}

#[test]
fn a_connection_lives_when_the_router_sends_it_to_another_node() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    for vip in [VIP_V4, VIP_V6] {
        let pace = std::time::Duration::from_millis(100);
        let to = std::net::SocketAddr::new(vip, 80);
        let connections =
            xtask::lab::Connections::open(lab.client(), to, "shop.example.test", 60, pace).unwrap();
        for entry in [&[1][..], &[2], &[2, 3], &[3], &[1, 2, 3]] {
            lab.router().enter_at(entry).unwrap();
            connections.wait_for_answers(3, pace * 100).unwrap();
        }
        let held = connections.close().unwrap();
        assert!(held.iter().all(|held| held.end.is_none()), "{held:?}");
        assert_eq!(
            held.iter().filter_map(|held| held.owner).collect::<BTreeSet<_>>(),
            [1, 2, 3].into()
        );
    }
    drop(agents);
}

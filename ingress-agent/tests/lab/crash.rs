//! An agent is killed: what its node carries for others goes on, new connections go elsewhere, and the next
//! agent takes over what is pinned.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ingress_common::Reason;
use rustix::process::Signal;
use xtask::lab::{Connections, Ping, VIP_V4, VIP_V6, node_addresses};

use super::{Running, eventually};

/// After this a dead agent's node hands new connections on.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(500);

#[test]
fn a_killed_agent_loses_only_its_own_connections() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let counters = || [1, 2, 3].map(|node| running.lab.counters(node).unwrap());
    running.lab.router().enter_at(&[1]).unwrap();
    let before = counters();
    let pace = Duration::from_millis(250);
    let open = |vip| {
        Connections::open(
            running.lab.client(),
            SocketAddr::new(vip, 80),
            "shop.example.test",
            60,
            pace,
        )
    };
    let connections = [open(VIP_V4).unwrap(), open(VIP_V6).unwrap()];
    let pings = node_addresses(1)
        .map(|node| Ping::start(running.lab.client(), node, Duration::from_millis(20)).unwrap());

    let victim = running.agents.remove(0);
    let links = victim.links().unwrap();
    assert!(!links.is_empty());
    let start = Instant::now();
    victim.kill().unwrap();
    std::thread::sleep(HEARTBEAT.saturating_sub(start.elapsed()));
    for vip in [VIP_V4, VIP_V6] {
        for _ in 0..20 {
            let answer =
                running
                    .lab
                    .client()
                    .curl(vip, "http://shop.example.test/", &["--connect-timeout", "1"]);
            let node = answer.unwrap().echo().unwrap().node();
            assert!(matches!(node, Some(2 | 3)), "a new connection went to {node:?}");
        }
    }

    std::thread::sleep(Duration::from_secs(10).saturating_sub(start.elapsed()));
    for connections in &connections {
        connections.wait_for_answers(2, Duration::from_secs(10)).unwrap();
        for held in connections.held() {
            assert!(
                held.owner == Some(1) || held.end.is_none(),
                "another node's connection was lost: {held:?}"
            );
        }
    }
    for ping in pings {
        let pings = ping.stop().unwrap();
        assert!(pings.sent > 100, "{pings:?}");
        assert_eq!(pings.lost, 0, "of {}", pings.sent);
    }

    let again = running.lab.spawn_agent(1, &[]).unwrap();
    assert_eq!(again.links().unwrap(), links, "the links are the same ones");
    let served = (0..60).any(|_| {
        running
            .lab
            .client()
            .echo(VIP_V4, "http://shop.example.test/")
            .unwrap()
            .node()
            == Some(1)
    });
    assert!(served, "the restarted agent serves again");
    for connections in connections {
        for held in connections.close().unwrap() {
            assert!(held.owner == Some(1) || held.end.is_none(), "{held:?}");
        }
    }

    // TCP would hide a lost packet by sending it again; the counters do not.
    std::thread::sleep(Duration::from_millis(500));
    let counted: Vec<_> = counters()
        .iter()
        .zip(&before)
        .map(|(after, before)| after.since(before))
        .collect();
    let sum = |reason| counted.iter().map(|node| node.get(reason)).sum::<u64>();
    assert!(sum(Reason::Forwarded) > 0);
    assert_eq!(sum(Reason::Forwarded), sum(Reason::KeptTunnel), "{counted:?}");
    assert!(counted.iter().all(|node| node.dropped() == 0), "{counted:?}");
}

#[test]
fn a_hung_agent_gets_no_new_connection_and_keeps_its_own() {
    let Some(running) = Running::start() else { return };
    let (lab, hung) = (&running.lab, running.agents[0].process());
    let pace = Duration::from_millis(500);
    let connections = Connections::open(
        lab.client(),
        SocketAddr::new(VIP_V4, 80),
        "shop.example.test",
        60,
        pace,
    )
    .unwrap();
    hung.signal(Signal::STOP).unwrap();
    std::thread::sleep(HEARTBEAT + Duration::from_millis(100));
    for vip in [VIP_V4, VIP_V6] {
        for _ in 0..20 {
            let node = lab
                .client()
                .echo(vip, "http://shop.example.test/")
                .unwrap()
                .node();
            assert!(matches!(node, Some(2 | 3)), "a new connection went to {node:?}");
        }
    }
    hung.signal(Signal::CONT).unwrap();
    eventually("the agent serves again", Duration::from_secs(5), || {
        lab.client()
            .echo(VIP_V4, "http://shop.example.test/")
            .unwrap()
            .node()
            == Some(1)
    });
    connections.wait_for_answers(2, Duration::from_secs(10)).unwrap();
    let held = connections.close().unwrap();
    assert!(held.iter().any(|held| held.owner == Some(1)));
    assert!(held.iter().all(|held| held.end.is_none()), "{held:?}");
}

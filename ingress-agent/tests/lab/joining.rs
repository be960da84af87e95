//! A node is handed packets once it can keep them, and not before.

use std::net::SocketAddr;
use std::time::Duration;

use xtask::lab::{Connections, Sent, Traffic, VIP_V4, VIP_V6, node_addresses};

use super::cluster::{Cluster, POOL};

const URL: &str = "http://shop.test/";
const READY: &[&str] = &["probe", "readyz"];

fn load(cluster: &Cluster) -> [Traffic; 2] {
    [VIP_V4, VIP_V6].map(|vip| Traffic::start(cluster.lab.client(), vip, URL).unwrap())
}

/// No request failed, and no handshake lost a packet.
#[track_caller]
fn assert_whole(traffic: [Traffic; 2]) {
    for traffic in traffic {
        let sent: Sent = traffic.stop().unwrap();
        eprintln!("{sent:?}");
        assert!(sent.sent > 100 && (sent.failed, sent.late) == (0, 0), "{sent:?}");
    }
}

/// Waits until a node answers requests.
fn answers(cluster: &Cluster, node: u8) {
    cluster.eventually("an answer of the node", |cluster| {
        let echo = cluster.lab.client().echo(VIP_V4, URL);
        echo.is_ok_and(|echo| echo.node() == Some(node))
    });
}

#[test]
fn a_fourth_node_joins_under_load_and_fails_no_request() {
    let Some(mut cluster) = Cluster::of(4) else {
        return;
    };
    cluster.lab.router().enter_at(&[1, 2, 3]).unwrap();
    cluster.apply(POOL);
    for number in 1..=3 {
        cluster.spawn(number);
    }
    cluster.eventually("three nodes that take connections", |cluster| {
        cluster.agree(&[1, 2, 3]) && cluster.serves(VIP_V4) && cluster.serves(VIP_V6)
    });
    let to = SocketAddr::new(VIP_V4, 80);
    let pace = Duration::from_millis(100);
    let held = Connections::open(cluster.lab.client(), to, "shop.test", 90, pace).unwrap();
    let traffic = load(&cluster);
    cluster.spawn(4);
    cluster.eventually("the fourth is ready", |cluster| cluster.ask(4, READY).0 == 0);
    cluster.eventually("all follow the same membership", |cluster| {
        cluster.agree(&[1, 2, 3, 4])
    });
    cluster.lab.router().enter_at(&[1, 2, 3, 4]).unwrap();
    answers(&cluster, 4);
    held.wait_for_answers(2, Duration::from_secs(10)).unwrap();
    assert_whole(traffic);
    let held = held.close().unwrap();
    assert!(held.iter().all(|held| held.end.is_none()), "{held:?}");
}

#[test]
fn a_node_that_cannot_serve_vips_is_handed_nothing_and_says_why() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    for number in 1..=3 {
        cluster.spawn(number);
    }
    let [own, _] = node_addresses(3);
    cluster.eventually("answers at the nodes' own addresses", |cluster| {
        (1..=3).all(|number| node_addresses(number).into_iter().all(|own| cluster.serves(own)))
            && cluster.ask(3, READY).0 == 0
    });
    let foreign = cluster.lab.attach_foreign_xdp(3).unwrap();
    cluster.lab.router().enter_at(&[1, 2]).unwrap();
    cluster.apply(POOL);
    cluster.eventually("two nodes that serve VIPs", |cluster| {
        cluster.agree(&[1, 2]) && cluster.addresses("shop") == format!("{VIP_V4} {VIP_V6}")
    });
    let traffic = load(&cluster);
    cluster.eventually("its reason", |cluster| cluster.ask(3, READY).0 != 0);
    for arguments in [READY, &["status"]] {
        let (code, words) = cluster.ask(3, arguments);
        assert_eq!(code, 1, "{words}");
        assert!(
            words.contains("VIPs cannot be served: interface eth0 has another XDP program"),
            "{words}"
        );
    }
    // It is tried again every few seconds, and told once.
    std::thread::sleep(Duration::from_secs(8));
    let log = cluster.agents[2].1.log();
    assert_eq!(log.matches("VIPs cannot be served").count(), 1, "{log}");
    assert!(cluster.serves(own), "it goes on at its own addresses");
    assert!(cluster.agree(&[1, 2]));
    assert_whole(traffic);

    let traffic = load(&cluster);
    drop(foreign);
    cluster.eventually("it is ready", |cluster| cluster.ask(3, READY).0 == 0);
    cluster.lab.router().enter_at(&[1, 2, 3]).unwrap();
    answers(&cluster, 3);
    assert!(cluster.agree(&[1, 2, 3]));
    assert_whole(traffic);
}

/// Two DaemonSets, or somebody by hand.
#[test]
fn a_second_agent_on_a_node_is_refused_before_it_says_anything() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.apply(POOL);
    cluster.spawn(1);
    cluster.eventually("it is ready", |cluster| cluster.ask(1, READY).0 == 0);
    let holder = |cluster: &Cluster| {
        let path = "--output=jsonpath={.spec.holderIdentity}";
        cluster.kubectl(&["get", "lease", "node-node1", "--namespace", "ingress", path])
    };
    let before = holder(&cluster);
    cluster.spawn(1);
    let (_, second) = cluster.agents.pop().unwrap();
    let status = second.wait(Duration::from_secs(20)).unwrap();
    assert!(!status.success());
    let log = second.log();
    assert!(
        log.contains("another agent") && !log.contains("goes on with the Lease"),
        "{log}"
    );
    assert_eq!(holder(&cluster), before);
    assert_eq!(cluster.ask(1, READY).0, 0);
}

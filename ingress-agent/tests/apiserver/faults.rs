//! A network that lies, an API server that refuses, and lists that lack what was there.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::{Cluster, ingress, ingress_tls};

/// How often is looked at what takes long.
const LOOK: Duration = Duration::from_millis(100);
/// How long an agent may take to start.
const START: Duration = Duration::from_secs(30);

#[test]
fn a_silently_dead_connection_is_noticed_within_45_seconds() {
    let cluster = Cluster::start();
    // Asking for the Secret leaves a connection idle, which dies too.
    let certificate = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    cluster.eventually("its certificate", |cluster| {
        cluster.shown("shop.test") == certificate
    });

    relay.silence();
    cluster.apply(&ingress("new", "new.test", "blue"));
    relay.heal();
    let took = cluster.within(
        Duration::from_secs(45),
        LOOK,
        "the change made meanwhile",
        |cluster| {
            assert_eq!(cluster.get_tls("shop.test", "/").0, "200");
            cluster.get("new.test", "/").0 == "200"
        },
    );
    assert!(
        took > Duration::from_secs(5),
        "the connections were not dead: {took:?}"
    );
    assert_eq!(cluster.shown("shop.test"), certificate);
}

/// The relay answers 429 itself: a PriorityLevelConfiguration without a seat lets one request after the other through.
#[test]
fn an_api_server_that_refuses_empties_nothing() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (_proxy, relay, kubeconfig) = cluster.plain_relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    for (status, new) in [("429 Too Many Requests", "a"), ("500 Internal Server Error", "b")] {
        let from = agent.log().len();
        relay.refuse(status);
        let said = agent.wait_for_log("the API server does not answer", from, START);
        said.unwrap();
        let host = format!("{new}.test");
        cluster.apply(&ingress(new, &host, "blue"));
        assert_eq!(cluster.get("shop.test", "/").0, "200");
        assert_eq!(cluster.get(&host, "/").0, "404", "it hears of nothing");
        relay.accept();
        cluster.within(START, LOOK, "the new host", |cluster| {
            assert_eq!(cluster.get("shop.test", "/").0, "200");
            cluster.get(&host, "/").0 == "200"
        });
    }
}

#[test]
fn what_a_new_list_lacks_is_served_for_30_seconds_more() {
    let mut cluster = Cluster::start();
    for name in ["shop", "other"] {
        cluster.apply(&ingress(name, &format!("{name}.test"), "red"));
    }
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    // It misses that everything was deleted: the API server that it finds then remembers no history, and lists.
    agent.signal(Signal::STOP).unwrap();
    relay.cut();
    cluster.kubectl(&["delete", "ingress", "shop", "other"]);
    cluster.apply(&ingress("new", "new.test", "blue"));
    cluster.plane.compact().unwrap();
    cluster.plane.kill_server().unwrap();
    cluster.plane.start_server().unwrap();
    let begin = Instant::now();
    agent.signal(Signal::CONT).unwrap();
    cluster.eventually("the new host", |cluster| cluster.get("new.test", "/").0 == "200");
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    assert_eq!(cluster.get("other.test", "/").0, "200");

    // What is told to be deleted is not held.
    cluster.kubectl(&["delete", "ingress", "new"]);
    cluster.eventually("404", |cluster| cluster.get("new.test", "/").0 == "404");
    assert_eq!(cluster.get("shop.test", "/").0, "200");

    cluster.within(Duration::from_secs(60), LOOK, "no longer held", |cluster| {
        cluster.get("shop.test", "/").0 == "404" && cluster.get("other.test", "/").0 == "404"
    });
    let held = begin.elapsed();
    assert!(held >= Duration::from_secs(30), "held for {held:?} only");
}

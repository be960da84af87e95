//! The API server away, and back.

use std::time::Duration;

use crate::cluster::{Cluster, ingress};

/// OP-6.
#[test]
fn what_is_known_is_served_while_the_api_server_is_away() {
    let mut cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let agent = cluster.agent("agent");
    cluster.plane.kill_server().unwrap();
    agent
        .wait_for_log("the API server does not answer", 0, Duration::from_secs(45))
        .unwrap();
    for _ in 0..20 {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
    }
    cluster.plane.start_server().unwrap();
    cluster.apply(&ingress("new", "new.test", "blue"));
    cluster.eventually("the new host", |cluster| cluster.get("new.test", "/").0 == "200");
    assert_eq!(cluster.get("shop.test", "/").0, "200");
}

/// OP-7: 410 Gone.
#[test]
fn a_history_that_is_gone_is_listed_anew_and_nothing_is_lost() {
    let mut cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let _agent = cluster.agent("agent");
    // The API server that comes back knows of nothing before it: it answers older watches with 410 Gone.
    cluster.apply(&ingress("other", "other.test", "red"));
    cluster.plane.compact().unwrap();
    cluster.plane.kill_server().unwrap();
    cluster.plane.start_server().unwrap();
    cluster.apply(&ingress("new", "new.test", "blue"));
    cluster.eventually("the new host", |cluster| cluster.get("new.test", "/").0 == "200");
    assert_eq!(cluster.get("shop.test", "/").0, "200");
}

/// OP-5.
#[test]
fn an_agent_waits_for_the_first_list() {
    let mut cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    cluster.plane.kill_server().unwrap();
    let agent = cluster.start_agent("agent", &[]);
    agent
        .wait_for_log("the API server does not answer", 0, Duration::from_secs(30))
        .unwrap();
    assert!(!agent.log().contains("serving"), "{}", agent.log());
    cluster.plane.start_server().unwrap();
    agent
        .wait_for_log("serving without XDP", 0, Duration::from_secs(45))
        .unwrap();
    assert_eq!(cluster.get("shop.test", "/").0, "200");
}

//! A network that lies, an API server that refuses, and lists that lack what was there.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use xtask::lab::Process;

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

#[test]
fn an_api_server_that_fails_empties_nothing() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (_proxy, relay, kubeconfig) = cluster.plain_relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    relay.refuse("500 Internal Server Error");
    keeps_what_it_knows(&cluster, &agent, || relay.accept());
}

/// Every request of the agent's, once something of another client's is under way: of a level without seats the API
/// server lets one request after the other through.
const NO_SEATS: &str = "\
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: no-seats}
spec: {type: Limited, limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: no-seats}
spec:
  priorityLevelConfiguration: {name: no-seats}
  matchingPrecedence: 2
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: agent, namespace: default}}]
    resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*']}]
";

#[test]
fn an_api_server_that_says_too_many_requests_empties_nothing() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    cluster.kubectl(&["create", "serviceaccount", "agent"]);
    let rights = ["--clusterrole=cluster-admin", "--serviceaccount=default:agent"];
    cluster.kubectl(&[&["create", "clusterrolebinding", "agent"], &rights[..]].concat());
    let (relay, kubeconfig) = cluster.account_relay("agent");
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();

    cluster.apply(NO_SEATS);
    let slow = cluster.slow_request("agent");
    cluster.within(START, LOOK, "429", |cluster| cluster.asks_as("agent") == "429");
    relay.cut();
    keeps_what_it_knows(&cluster, &agent, || {
        assert_eq!(cluster.asks_as("agent"), "429", "all the while");
        drop(slow);
    });
}

/// That an agent that the API server has just begun to refuse serves what it knew, and learns the rest after it.
fn keeps_what_it_knows(cluster: &Cluster, agent: &Process, accept: impl FnOnce()) {
    agent
        .wait_for_log("the API server does not answer", 0, START)
        .unwrap();
    cluster.apply(&ingress("new", "new.test", "blue"));
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    assert_eq!(cluster.get("new.test", "/").0, "404", "it hears of nothing");
    accept();
    cluster.within(START, LOOK, "the new host", |cluster| {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
        cluster.get("new.test", "/").0 == "200"
    });
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

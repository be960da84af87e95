//! `ingress-agent status` in a cluster: who leads, what each node says, and who announces what.

use std::time::Duration;

use serde_json::Value;
use xtask::lab::{Process, VIP_V4, VIP_V6, node_addresses};

use super::cluster::{Cluster, POOL};

/// The agents' default --announce-table.
const TABLE: &str = "116";

fn status(cluster: &Cluster, node: u8) -> Value {
    let (code, text) = cluster.ask(node, &["status", "--json"]);
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A field of each of a list's values.
fn all<'a>(status: &'a Value, list: &str, field: &str) -> Vec<&'a Value> {
    let list = status.pointer(list).and_then(Value::as_array).unwrap();
    list.iter().map(|one| one.get(field).unwrap()).collect()
}

/// Changes something of node1's network.
fn ip(cluster: &Cluster, arguments: &str) {
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    cluster.lab.node(1).unwrap().output("ip", &arguments).unwrap();
}

/// Who announces each VIP, by node1's status.
fn announced_by(cluster: &Cluster) -> Vec<(String, Vec<String>)> {
    let status = status(cluster, 1);
    let vips = all(&status, "/vips", "vip").into_iter();
    let by = all(&status, "/vips", "announced_by").into_iter();
    let names = |by: &Value| serde_json::from_value(by.clone()).unwrap();
    vips.map(|vip| vip.as_str().unwrap().to_owned())
        .zip(by.map(names))
        .collect()
}

/// What [`announced_by`] is to give.
fn expected(v4: &[&str], v6: &[&str]) -> Vec<(String, Vec<String>)> {
    let of = |vip: std::net::IpAddr, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        [80, 443].map(|port| (format!("{vip}-{port}-tcp"), names.clone()))
    };
    [of(VIP_V4, v4), of(VIP_V6, v6)].concat()
}

#[test]
fn it_tells_the_leader_the_nodes_and_who_announces_the_vips() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.apply(POOL);
    // Somebody else's route is where node1's announcement of one VIP should be.
    let foreign = format!("route add blackhole {VIP_V4} table {TABLE} proto static");
    ip(&cluster, &foreign);
    for number in 1..=3 {
        cluster.spawn(number);
    }
    let all_three = ["node1", "node2", "node3"];
    cluster.eventually("all are ready and agree", |cluster| {
        cluster.agree(&[1, 2, 3]) && (1..=3).all(|node| cluster.ask(node, &["probe", "readyz"]).0 == 0)
    });
    cluster.eventually("who announces what", |cluster| {
        announced_by(cluster) == expected(&["node2", "node3"], &all_three)
    });
    let leader = cluster.leader();
    for node in 1..=3 {
        let status = status(&cluster, node);
        let own = format!("node{node}");
        assert_eq!(status["state"], "serving", "{status:#}");
        assert_eq!(status["cluster"]["node"], own.as_str(), "{status:#}");
        assert_eq!(status["cluster"]["leader"], leader.as_str(), "{status:#}");
        assert_eq!(status["cluster"]["leads"], leader == own, "{status:#}");
        let answered = status["cluster"]["answered_seconds_ago"].as_u64();
        assert!(answered.is_some_and(|seconds| seconds < 15), "{status:#}");
        assert_eq!(all(&status, "/cluster/leases", "node"), all_three);
        assert_eq!(all(&status, "/cluster/leases", "state"), ["active"; 3]);
        let mut generations = all(&status, "/cluster/leases", "generation");
        generations.dedup();
        assert!(generations.len() == 1 && generations[0].is_string(), "{status:#}");
        let addresses = all(&status, "/cluster/leases", "addresses");
        let expected = [1, 2, 3].map(|node| serde_json::to_value(node_addresses(node)).unwrap());
        assert!(addresses.into_iter().eq(&expected), "{status:#}");
        assert_eq!(all(&status, "/nodes", "state"), ["active"; 3]);
        for since in ["changed_seconds_ago", "applied_seconds_ago"] {
            let since = status["source"][since].as_u64();
            assert!(since.is_some_and(|seconds| seconds < 60), "{status:#}");
        }
    }
    let (_, text) = cluster.ask(1, &["status"]);
    assert!(text.contains(&format!("leader    {leader}")), "{text}");

    ip(&cluster, &foreign.replace("add", "del"));
    cluster.eventually("its own announcement", |cluster| {
        announced_by(cluster) == expected(&all_three, &all_three)
    });
    let ended: Process = cluster.take(3);
    ended.signal(rustix::process::Signal::TERM).unwrap();
    ended.wait(Duration::from_secs(20)).unwrap();
    cluster.eventually("a node that drains", |cluster| {
        announced_by(cluster) == expected(&["node1", "node2"], &["node1", "node2"])
    });
    let status = status(&cluster, 1);
    assert_eq!(
        all(&status, "/cluster/leases", "state"),
        ["active", "active", "draining"]
    );
}

//! What agents with nothing to do ask of the API server: each a member with a Lease, one of them the leader, and all
//! told of each other's heartbeats.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::{Agent, Home};
use crate::place::Place;
use crate::rows::row;

const AGENTS: u8 = 100;
/// Twice as long as a watch lives.
const WINDOW: Duration = Duration::from_secs(50);
/// Until all have a number.
const PATIENCE: Duration = Duration::from_secs(90);

/// The requests of a hundred agents.
pub(crate) fn rows(place: &Place) -> Vec<Value> {
    let nodes: Vec<_> = (1..=AGENTS).map(node).collect();
    let nodes = json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string();
    place.plane.kubectl_with(&["create", "-f", "-"], &nodes).unwrap();
    let start = |number| {
        let home = Home::new();
        (Agent::member(place, &name(number), number, &home), home)
    };
    let agents: Vec<_> = (1..=AGENTS).map(start).collect();
    for (agent, _) in &agents {
        agent.wait_until_serving();
    }
    wait_for_numbers(place);
    let agents_cpu = || agents.iter().map(|(agent, _)| agent.cpu()).sum::<Duration>();
    let (before, [server, store], own) = (place.requests(), place.server_cpus(), agents_cpu());
    let begin = Instant::now();
    sleep(WINDOW);
    let seconds = begin.elapsed().as_secs_f64();
    let case = "100 idle agents with Leases";
    let share = |what: &str, before: Duration, now: Duration| {
        let share = (now - before).as_secs_f64() / seconds * 100.0;
        row(case, what, share, "% of a core", 1)
    };
    let [server_now, store_now] = place.server_cpus();
    let mut rows = vec![
        share("CPU of kube-apiserver", server, server_now),
        share("CPU of etcd", store, store_now),
        share("CPU of the agents", own, agents_cpu()),
    ];
    let after = place.requests();
    let rate = |verb: &String| (after[verb] - before.get(verb).unwrap_or(&0.0)) / seconds;
    let all: f64 = after.keys().map(rate).sum();
    rows.push(row(case, "requests to the API server", all, "1/s", 1));
    for verb in after.keys().filter(|verb| rate(verb) > 0.0) {
        rows.push(row(case, &format!("of that, {verb}"), rate(verb), "1/s", 1));
    }
    rows
}

fn name(number: u8) -> String {
    format!("idle-{number}")
}

fn node(number: u8) -> Value {
    let address = format!("192.0.2.{number}");
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name(number)},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

fn wait_for_numbers(place: &Place) {
    let path = r"--output=jsonpath={.items[*].metadata.annotations.ingress-agent\.dev/number}";
    let begin = Instant::now();
    loop {
        let numbers = place.plane.kubectl(&["get", "leases", path]).unwrap();
        let numbers: BTreeSet<_> = numbers.split_whitespace().collect();
        if numbers.len() == usize::from(AGENTS) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{} have numbers", numbers.len());
        sleep(Duration::from_millis(200));
    }
}

//! Starts: of an agent with nothing to serve, of one that reads 21,000 objects, and of one that the API server does
//! not answer.

use serde_json::Value;

use crate::agent::{Agent, Home};
use crate::fill::{self, INGRESSES, PATH};
use crate::place::Place;
use crate::rows::row;
use crate::usage;

/// Starts of each kind.
const ROUNDS: usize = 5;
const COLD: &str = "cold start, 10,000 Ingresses";
const SAVED: &str = "start without the API server, 10,000 Ingresses";

/// The memory of an agent of an empty cluster, in MB.
pub(crate) fn empty(place: &Place) -> f64 {
    let agent = Agent::start(place, "empty", 1, &Home::new());
    agent.wait_until_serving();
    agent.memory()
}

/// Starts that read everything from the API server. The last agent goes on.
pub(crate) fn cold(place: &Place, empty: f64) -> (Agent, Home, Vec<Value>) {
    let servers = || place.server_cpu().as_secs_f64();
    let mut starts = Vec::new();
    loop {
        let home = Home::new();
        let before = servers();
        let (agent, start) = start(place, "cold", &home);
        starts.push((start, servers() - before));
        if starts.len() == ROUNDS {
            let memory = agent.memory();
            let servers = median(starts.iter().map(|(_, servers)| *servers));
            let mut rows = rows(COLD, starts.iter().map(|(start, _)| *start));
            rows.extend([
                row(COLD, "CPU of kube-apiserver and etcd", servers, "s", ROUNDS),
                row(COLD, "memory", memory, "MB", 1),
                row(COLD, "memory above the empty agent", memory - empty, "MB", 1),
            ]);
            return (agent, home, rows);
        }
    }
}

/// Starts from what the last agent kept; the API server is gone.
pub(crate) fn saved(place: &Place, home: &Home) -> Vec<Value> {
    let starts = (0..ROUNDS).map(|_| start(place, "saved", home).1);
    rows(SAVED, starts)
}

/// From exec to the first 200, and the CPU until then, in seconds.
#[derive(Clone, Copy)]
struct Start {
    took: f64,
    cpu: f64,
}

fn start(place: &Place, name: &str, home: &Home) -> (Agent, Start) {
    let agent = Agent::start(place, name, 1, home);
    // Not among those that edits move.
    let last = fill::host(INGRESSES - 1);
    let answered = agent.probe().until(&last, PATH, |answer| answer.status == 200);
    let took = (answered - agent.began).as_secs_f64();
    let cpu = usage::cpu(agent.process.id()).as_secs_f64();
    eprintln!("{name}: {took:.3} s, CPU {cpu:.2} s");
    (agent, Start { took, cpu })
}

fn rows(case: &str, starts: impl Iterator<Item = Start>) -> Vec<Value> {
    let starts: Vec<_> = starts.collect();
    let times = || starts.iter().map(|start| start.took);
    vec![
        row(case, "exec to first 200, p50", median(times()), "s", ROUNDS),
        row(
            case,
            "exec to first 200, max",
            times().fold(0.0, f64::max),
            "s",
            ROUNDS,
        ),
        row(
            case,
            "CPU",
            median(starts.iter().map(|start| start.cpu)),
            "s",
            ROUNDS,
        ),
    ]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

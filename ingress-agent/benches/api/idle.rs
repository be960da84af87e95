//! What agents with nothing to do ask of the API server.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::{Agent, Home};
use crate::place::Place;
use crate::rows::row;

const AGENTS: u8 = 100;
/// Twice as long as a watch lives.
const WINDOW: Duration = Duration::from_secs(50);

/// The requests of a hundred agents.
pub(crate) fn rows(place: &Place) -> Vec<Value> {
    let start = |number| {
        let home = Home::new();
        (
            Agent::start(place, &format!("idle-{number}"), number, &home),
            home,
        )
    };
    let agents: Vec<_> = (1..=AGENTS).map(start).collect();
    for (agent, _) in &agents {
        agent.wait_until_serving();
    }
    let agents_cpu = || agents.iter().map(|(agent, _)| agent.cpu()).sum::<Duration>();
    let (requests, servers, own) = (place.requests(), place.server_cpu(), agents_cpu());
    let begin = Instant::now();
    sleep(WINDOW);
    let seconds = begin.elapsed().as_secs_f64();
    let requests = (place.requests() - requests) as f64 / seconds;
    let share = |before: Duration, now: Duration| (now - before).as_secs_f64() / seconds * 100.0;
    let case = "100 idle agents";
    vec![
        row(case, "requests to the API server", requests, "1/s", 1),
        row(
            case,
            "CPU of kube-apiserver and etcd",
            share(servers, place.server_cpu()),
            "% of a core",
            1,
        ),
        row(
            case,
            "CPU of the agents",
            share(own, agents_cpu()),
            "% of a core",
            1,
        ),
    ]
}

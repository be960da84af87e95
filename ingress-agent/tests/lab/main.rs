//! The whole product in a lab of network namespaces: what `cargo xtask demo` prints, asserted, and what
//! takes longer than a demo may.
//!
//! One module per promise. Every test has a lab of its own; a process builds one at a time.

#![expect(clippy::unwrap_used, reason = "a failed step of a test fails the test")]

mod announce;
mod change;
mod cluster;
mod crash;
mod deployed;
mod drain;
mod flow;
mod joining;
mod maps;
mod membership;
mod outage;
mod published;
mod request;
mod rights;
mod seeing;
mod startup;
mod status;

use std::time::{Duration, Instant};

use xtask::lab::{Agent, Lab};

/// A lab with an agent on each of three nodes. Agents are dropped, and so ended, first.
struct Running {
    agents: Vec<Agent>,
    lab: Lab,
}

impl Running {
    /// Builds and starts it; `None`, with the reason printed, where this cannot be done.
    fn start() -> Option<Self> {
        let lab = lab(3)?;
        let agents = lab.spawn_agents().unwrap();
        Some(Self { agents, lab })
    }

    /// Takes out a node's agent.
    fn take(&mut self, number: u8) -> Agent {
        let position = self
            .agents
            .iter()
            .position(|agent| agent.number() == number)
            .unwrap();
        self.agents.remove(position)
    }
}

/// A lab of so many nodes, on which no agent runs yet.
fn lab(nodes: u8) -> Option<Lab> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set, and this test needs root"
        );
        eprintln!("not run: it needs root, for network namespaces and XDP");
        return None;
    }
    Some(
        Lab::builder(env!("CARGO_BIN_EXE_ingress-agent"))
            .nodes(nodes)
            .pods(4)
            .build()
            .unwrap(),
    )
}

/// Waits until something holds.
fn eventually(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

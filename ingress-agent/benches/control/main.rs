//! The control plane's figures: what one edit among 10,000 Ingresses costs, memory, and a route's lookup.
//!
//! An edit's time is the agent's own work on a changed snapshot, all of it but the kernel's part (`recompute`),
//! or, of a folder, from the file's rename to the table (`followed`).
//!
//! Prints JSON rows `{case, peer, metric, value, unit, rounds}`. Run by `cargo xtask bench control`, with
//! `--rounds N`. The folder is ordinary Kubernetes YAML: 10,000 Ingresses, 5,000 Services of three endpoints,
//! 1,000 certificates, another one 10,000 of these; they are temporary. Everything timed is also checked: the new route must be in the table.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints its result"
)]

mod certificates;
mod edit;
mod folder;
mod followed;
mod lookup;
mod recompute;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: ingress_agent::memory::Allocator = ingress_agent::memory::Allocator;

/// Asks this program, run again, for the memory of an agent's state and nothing else.
const MEMORY_OF: &str = "--memory-of";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if let Some(folder) = after(MEMORY_OF) {
        println!("{}", recompute::memory_with(folder.as_ref()));
        return;
    }
    let rounds = after("--rounds").map_or(300, |rounds| rounds.parse().expect("--rounds N"));
    let rounds = rounds.min(edit::MOST);
    let (full, empty) = (
        folder::write(folder::INGRESSES, folder::PER_FILE),
        folder::write(0, folder::PER_FILE),
    );
    let mut rows = recompute::in_memory(full.path(), rounds);
    for (files, per_file) in [("100 files", folder::PER_FILE), ("1 file", folder::INGRESSES)] {
        let case = format!("folder of {files} with 10,000 Ingresses, rename to table, an Ingress changed");
        rows.extend(followed::rows(&case, per_file, rounds.min(50)));
    }
    let (full, empty) = (memory_of(full.path()), memory_of(empty.path()));
    rows.push(row(
        "10,000 Ingresses",
        "memory above the empty agent",
        (full - empty) / 1e6,
        "MB",
        1,
    ));
    for hosts in [10, 100_000] {
        rows.extend(lookup::rows(hosts, 7));
    }
    rows.extend(certificates::rows(rounds));
    println!("{}", serde_json::to_string_pretty(&rows).unwrap());
}

/// Resident bytes of a process of its own that holds what an agent holds.
fn memory_of(folder: &std::path::Path) -> f64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg(MEMORY_OF).arg(folder).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn row(case: &str, metric: &str, value: f64, unit: &str, rounds: usize) -> Value {
    json!({ "case": case, "peer": "ours", "metric": metric, "value": value, "unit": unit, "rounds": rounds })
}

/// Median, 99th percentile and least of some times, in milliseconds.
fn rows_of(case: &str, mut times: Vec<Duration>) -> Vec<Value> {
    times.sort();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len() - 1);
        times[index].as_secs_f64() * 1e3
    };
    let figures = [("p50", at(50)), ("p99", at(99)), ("min", at(0))];
    let row = |(metric, value)| row(case, metric, value, "ms", times.len());
    figures.into_iter().map(row).collect()
}

//! The control plane's figures on a real API server (`spec/marks.md`, Control).
//!
//! A control plane, pods and agents share one namespace of the network. First the load of a hundred idle agents on
//! an empty cluster; then the cluster is filled with 10,000 Ingresses, 1,000 TLS Secrets and 5,000 Services of three
//! endpoints, and one agent starts and follows edits, another gives the Ingresses their first addresses, and one starts
//! without the API server.
//!
//! Prints JSON rows `{case, peer, metric, value, unit, rounds}`. Run by `cargo xtask bench control --api`, with
//! `--rounds N` edits of each kind; `--addresses` for the first addresses alone, `--idle` for the idle agents alone,
//! `--cold` for cold starts and memory alone; `--agent PATH` measures another build of the agent. Needs root.
//! Everything timed is also checked: an answer is the new one, or it does not count.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench fails by panicking, prints its result, and says how far it is"
)]

mod addresses;
mod agent;
mod edits;
mod fill;
mod idle;
mod place;
mod pods;
mod probe;
#[path = "../control/rows.rs"]
mod rows;
mod start;
mod usage;

use place::Place;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let rounds = after("--rounds").map_or(300, |rounds| rounds.parse().expect("--rounds N"));
    let agent = after("--agent").map_or(env!("CARGO_BIN_EXE_ingress-agent"), String::as_str);
    let only_addresses = arguments.iter().any(|argument| argument == "--addresses");
    let only_idle = arguments.iter().any(|argument| argument == "--idle");
    let only_cold = arguments.iter().any(|argument| argument == "--cold");
    let network = Place::network();
    let rows = network.namespace.run(|| {
        let place = Place::start(&network, agent);
        if only_idle {
            return Ok(idle::rows(&place));
        }
        if only_cold {
            let empty = start::empty(&place);
            fill::fill(&place);
            return Ok(start::cold(&place, empty).2);
        }
        if only_addresses {
            fill::fill(&place);
            return Ok(addresses::rows(&place));
        }
        Ok(bench(place, rounds))
    });
    println!("{}", serde_json::to_string_pretty(&rows.unwrap()).unwrap());
}

fn bench(mut place: Place, rounds: usize) -> Vec<serde_json::Value> {
    let mut rows = idle::rows(&place);
    let empty = start::empty(&place);
    fill::fill(&place);
    let (agent, home, cold) = start::cold(&place, empty);
    rows.extend(cold);
    rows.extend(edits::rows(&place, &agent, rounds));
    home.wait_until_saved();
    drop(agent);
    rows.extend(addresses::rows(&place));
    place.plane.kill_server().unwrap();
    rows.extend(start::saved(&place, &home));
    rows
}

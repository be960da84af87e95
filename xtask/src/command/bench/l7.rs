//! `cargo xtask bench l7`: what a request costs, ours beside nginx and HAProxy in one interleaved run.
//!
//! ```text
//! wrk, core 1 ──▶ one proxy, core 0, one thread ──▶ nginx as the pod, core 1, keep-alive, 63 bytes
//! ```
//!
//! All proxies run at once, on ports of loopback, and only one is asked at a time; each round asks each of
//! them for each case. Everything timed is also checked: one answer that is not 200, or one broken
//! connection, ends the bench. System calls are counted apart, since counting slows everything down. The
//! processes end with this one.
//!
//! Ours is the agent's L7 path alone (`ingress-agent/benches/l7.rs`) with one worker, built as it is shipped.

mod build;
mod idle;
mod load;
mod place;
mod proxies;
mod syscalls;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::load::{CASES, Sample};
use self::place::Place;
use self::proxies::Proxies;
use super::rows::{self, Row};
use crate::command::needs;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each asks every proxy for every case once, and the medians are over the rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of one case of one proxy in one round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Prints JSON rows {case, peer, metric, value, unit, rounds} in place of the table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cores = std::thread::available_parallelism().context("count the cores")?;
    ensure!(
        cores.get() >= 2,
        "one core for the proxy and one for the load: this machine has one core"
    );
    needs::install(needs::L7)?;
    let ours = build::ours()?;
    let place = Place::new()?;
    let proxies = Proxies::start(&place, &ours)?;
    let mut samples: BTreeMap<(usize, usize), Vec<Sample>> = BTreeMap::new();
    for round in 0..arguments.rounds {
        eprintln!("round {} of {}", round + 1, arguments.rounds);
        for (case_index, case) in CASES.iter().enumerate() {
            for (index, proxy) in proxies.all.iter().enumerate() {
                let sample = load::sample(case, proxy, arguments.seconds)
                    .with_context(|| format!("{}, {}", case.name, proxy.name))?;
                samples.entry((case_index, index)).or_default().push(sample);
                // What the kernel still does for closed connections is not the next one's.
                sleep(Duration::from_millis(100));
            }
        }
    }
    let mut rows = Vec::new();
    for (case_index, case) in CASES.iter().enumerate() {
        for (index, proxy) in proxies.all.iter().enumerate() {
            let samples = samples.get(&(case_index, index)).context("no sample")?;
            rows.extend(figures(case.name, proxy.name, samples));
        }
    }
    for proxy in &proxies.all {
        let count =
            syscalls::per_request(proxy).with_context(|| format!("system calls of {}", proxy.name))?;
        rows.push(row(
            "plain keep-alive",
            proxy.name,
            "system calls per request",
            count,
            "",
            1,
        ));
    }
    for proxy in &proxies.all {
        let bytes =
            idle::per_connection(proxy).with_context(|| format!("idle connections of {}", proxy.name))?;
        rows.push(row(
            "plain idle",
            proxy.name,
            "memory per connection",
            bytes / 1024.0,
            "KiB",
            1,
        ));
    }
    rows::print(&rows, arguments.json)
}

/// The medians of a case's samples, and the least CPU time.
fn figures(case: &str, peer: &str, samples: &[Sample]) -> Vec<Row> {
    let rounds = samples.len();
    let sorted = |of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |of| sorted(of).get(rounds / 2).copied().unwrap_or_default();
    let cpu = |sample: &Sample| sample.user + sample.kernel;
    let least = sorted(cpu).first().copied().unwrap_or_default();
    [
        ("CPU per request", median(cpu), "us"),
        ("CPU per request, user", median(|sample| sample.user), "us"),
        ("CPU per request, kernel", median(|sample| sample.kernel), "us"),
        ("CPU per request, least", least, "us"),
        ("requests", median(|sample| sample.rate), "1/s"),
        ("p50", median(|sample| sample.p50), "us"),
        ("p99", median(|sample| sample.p99), "us"),
    ]
    .map(|(metric, value, unit)| row(case, peer, metric, value, unit, rounds))
    .into()
}

fn row(case: &str, peer: &str, metric: &str, value: f64, unit: &str, rounds: usize) -> Row {
    Row {
        case: case.to_owned(),
        peer: peer.to_owned(),
        metric: metric.to_owned(),
        value,
        unit: unit.to_owned(),
        rounds: rounds as u64,
    }
}

//! `cargo xtask bench l7`: what a request costs, ours beside nginx and HAProxy in one interleaved run, and beside
//! Envoy where its program is there.
//!
//! ```text
//! wrk or h2load, core 1 ──▶ one proxy, core 0, one thread ──▶ nginx as the pod, core 1, keep-alive
//! ```
//!
//! All proxies run at once, on ports of loopback, and only one is asked at a time; each round asks each of
//! them for each case. Everything timed is also checked: one answer that is not 200, one short body or one broken
//! connection ends the bench. System calls are counted apart, since counting slows everything down. The
//! processes end with this one.
//!
//! Ours is the agent's L7 path alone (`ingress-agent/benches/l7.rs`) with one worker, built as it is shipped.
//! A keep-alive request of ours is two recvfrom(2), one sendto(2), one writev(2) and a few hundredths of epoll_wait(2)
//! (`--profile` prints them). In user space it takes 24,400 instructions (callgrind, h2load, three fields), nginx's with
//! two 31,000; 75 of ours are locked, 19 of nginx's: tokio's wakers and hyper's counted buffers. With hyper's client
//! towards the pod it took 37,100, of which 169 were locked. Four fifths of the time are the kernel's.
//! A new connection that asks once is nine: accept4(2), getsockname(2), recvfrom(2) and sendmsg(2) for the client, sendto(2)
//! and recvfrom(2) for the pod, shutdown(2) with the answer's last bytes, recvfrom(2) for what the client may have sent
//! since, close(2). nginx's is eleven. It never meets epoll unless it has to be waited for.
//! Of 21 November 2026, seven rounds of one second on an idle machine, of the best peer's: kept connections 0.91 (user
//! time 0.90 of nginx's), over TLS 0.81; 4.05 system calls; new connections 1.05, over TLS 0.62; HTTP/2 1.01; 4.3 and 17
//! KiB per idle connection, plain and TLS. The tail and the downloads vary more from run to run than between proxies:
//! p99 at 70 % load 1.06 and 0.98, 1 MiB downloads 0.89 and 1.28 of nginx's bytes per CPU second, the second of each over
//! fifteen rounds. Of a new connection 10.8 us are user time, nginx's 7.3: by perf's samples futures that are moved when
//! they are spawned, and fresh pages for the 8 KiB that hyper reads into.
//! The rate of "70 % load" is 70 % of what the slowest of ours, nginx and HAProxy sustains over kept connections.

mod build;
mod case;
mod config;
mod idle;
mod load;
mod marks;
mod place;
mod proxies;
mod syscalls;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::case::{Ask, CASES, Case, KEPT};
use self::load::{Pace, Sample};
use self::place::Place;
use self::proxies::{Proxies, Proxy};
use super::rows::{self, Row};
use crate::command::needs;

/// What we are called among the peers.
const OURS: &str = "ours";
/// The part of the full rate that is asked for where the time of an answer counts.
const LOAD: f64 = 0.7;
const TLS_KEPT: Case = Case { tls: true, ..KEPT };

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds; each asks every proxy for every case once, and the medians are over the rounds.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of one case of one proxy in one round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only the cases whose names contain this; may be given more than once.
    #[arg(long = "case", value_name = "TEXT")]
    cases: Vec<String>,
    /// Prints also which system calls a request of each proxy is made of.
    #[arg(long)]
    profile: bool,
    /// Prints JSON rows {case, peer, metric, value, unit, rounds} in place of the table.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|text| case.contains(text.as_str()))
    }
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
    place.write("large", &config::large())?;
    let proxies = Proxies::start(&place, &ours)?;
    // First, in processes that have held nothing else: memory that a load left behind would be used again.
    let mut rows = idle_rows(arguments, &proxies, &place)?;
    rows.extend(load_rows(arguments, &proxies, &place)?);
    if arguments.wants(KEPT.name) {
        rows.extend(call_rows(arguments, &proxies, &place)?);
    }
    let verdicts = marks::judge(&rows);
    if arguments.json {
        rows.extend(marks::as_rows(&verdicts, arguments.rounds.into()));
    }
    rows::print(&rows, arguments.json)?;
    if !arguments.json {
        marks::print(&verdicts);
    }
    Ok(())
}

fn idle_rows(arguments: &Arguments, proxies: &Proxies, place: &Place) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, case) in [(marks::PLAIN_IDLE, KEPT), (marks::TLS_IDLE, TLS_KEPT)] {
        for proxy in proxies.all.iter().filter(|_| arguments.wants(name)) {
            eprintln!("{name}, {}", proxy.name);
            let bytes = idle::per_connection(&case, proxy, place)
                .with_context(|| format!("idle connections of {}", proxy.name))?;
            rows.push(row(name, proxy.name, marks::MEMORY, bytes / 1024.0, "KiB", 1));
        }
    }
    Ok(rows)
}

fn load_rows(arguments: &Arguments, proxies: &Proxies, place: &Place) -> Result<Vec<Row>> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| arguments.wants(case.name)).collect();
    let mut pace = Pace {
        seconds: arguments.seconds,
        rate: 0.0,
    };
    if cases.iter().any(|case| case.ask == Ask::Paced) {
        pace.rate = LOAD * least_rate(&proxies.all, place, pace)?;
        eprintln!("70 % load: {:.0} requests a second", pace.rate);
    }
    let mut samples: BTreeMap<(usize, usize), Vec<Sample>> = BTreeMap::new();
    for round in 0..arguments.rounds {
        eprintln!("round {} of {}", round + 1, arguments.rounds);
        for (case_index, case) in cases.iter().enumerate() {
            for (index, proxy) in proxies.all.iter().enumerate() {
                let sample = load::sample(case, proxy, place, pace)
                    .with_context(|| format!("{}, {}", case.name, proxy.name))?;
                samples.entry((case_index, index)).or_default().push(sample);
                // What the kernel still does for closed connections is not the next one's.
                sleep(Duration::from_millis(100));
            }
        }
    }
    let mut rows = Vec::new();
    for ((case_index, index), samples) in &samples {
        let case = cases.get(*case_index).context("a case")?;
        let proxy = proxies.all.get(*index).context("a proxy")?;
        rows.extend(figures(case, proxy.name, samples));
    }
    Ok(rows)
}

/// Requests per second of the slowest over kept connections. Envoy does not count: it would make it easy for the
/// others.
fn least_rate(proxies: &[Proxy], place: &Place, pace: Pace) -> Result<f64> {
    let mut least = f64::INFINITY;
    for proxy in proxies.iter().filter(|proxy| proxy.name != proxies::ENVOY) {
        least = least.min(load::ask(&KEPT, proxy, place, pace)?.rate);
    }
    Ok(least)
}

fn call_rows(arguments: &Arguments, proxies: &Proxies, place: &Place) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for proxy in &proxies.all {
        let calls =
            syscalls::per_request(proxy, place).with_context(|| format!("system calls of {}", proxy.name))?;
        let mut push = |metric: &str, count| {
            rows.push(row(KEPT.name, proxy.name, metric, count, "per request", 1));
        };
        push(marks::CALLS, calls.total);
        // Those that are not one in a thousand requests' say nothing of a request.
        let by_name = calls.by_name.iter().filter(|(_, count)| *count >= 0.001);
        for (name, count) in by_name.filter(|_| arguments.profile) {
            push(&format!("{name}(2)"), *count);
        }
    }
    Ok(rows)
}

/// The medians of a case's samples, and the least CPU time.
fn figures(case: &Case, peer: &str, samples: &[Sample]) -> Vec<Row> {
    let rounds = samples.len();
    let sorted = |of: &dyn Fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |of: &dyn Fn(&Sample) -> f64| sorted(of).get(rounds / 2).copied().unwrap_or_default();
    let cpu = |sample: &Sample| sample.user + sample.kernel;
    let least = sorted(&cpu).first().copied().unwrap_or_default();
    let mut figures = vec![
        (marks::CPU, median(&cpu), "us"),
        (marks::USER, median(&|sample| sample.user), "us"),
        ("CPU per request, kernel", median(&|sample| sample.kernel), "us"),
        ("CPU per request, least", least, "us"),
        ("requests", median(&|sample| sample.rate), "1/s"),
        ("p50", median(&|sample| sample.p50), "us"),
        (marks::P99, median(&|sample| sample.p99), "us"),
    ];
    if case.ask == Ask::Download {
        let bytes = case.length() as f64;
        // Bytes in a microsecond are megabytes in a second.
        let per_second = median(&|sample| bytes / cpu(sample));
        figures.push((marks::PER_CPU_SECOND, per_second, "MB/s"));
    }
    figures
        .into_iter()
        .map(|(metric, value, unit)| row(case.name, peer, metric, value, unit, rounds))
        .collect()
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

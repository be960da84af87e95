//! One case of one proxy: a load by wrk, and what the proxy's process paid for it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::place::HOST;
use super::proxies::{LOAD_CORE, Proxy};

/// Connections at once.
const CONNECTIONS: &str = "64";
/// `USER_HZ`, the same on every machine this runs on (time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

/// A way to ask.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    tls: bool,
    /// Whether every request has a connection of its own.
    fresh: bool,
}

pub(super) const CASES: [Case; 4] = [
    Case {
        name: "plain keep-alive",
        tls: false,
        fresh: false,
    },
    Case {
        name: "TLS keep-alive",
        tls: true,
        fresh: false,
    },
    Case {
        name: "plain, new connection each",
        tls: false,
        fresh: true,
    },
    Case {
        name: "TLS, new connection each",
        tls: true,
        fresh: true,
    },
];

/// Of one run: microseconds per request, requests per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) user: f64,
    pub(super) kernel: f64,
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What wrk says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) requests: u64,
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Asks for `seconds` and measures.
pub(super) fn sample(case: &Case, proxy: &Proxy, seconds: u32) -> Result<Sample> {
    let before = cpu(proxy.id())?;
    let said = ask(case, proxy, seconds)?;
    let after = cpu(proxy.id())?;
    let each = |ticks: u64| ticks as f64 / TICKS_PER_SECOND * 1e6 / said.requests as f64;
    Ok(Sample {
        user: each(after.0 - before.0),
        kernel: each(after.1 - before.1),
        rate: said.rate,
        p50: said.p50,
        p99: said.p99,
    })
}

/// A load of `seconds`; every answer must be good.
pub(super) fn ask(case: &Case, proxy: &Proxy, seconds: u32) -> Result<Said> {
    let (scheme, address) = if case.tls {
        ("https", proxy.tls)
    } else {
        ("http", proxy.plain)
    };
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, "wrk", "-t1", "-c", CONNECTIONS, "--latency"]);
    command.args(["-d", &format!("{seconds}s"), "-H", &format!("Host: {HOST}")]);
    if case.fresh {
        command.args(["-H", "Connection: close"]);
    }
    let output = command
        .arg(format!("{scheme}://{address}/"))
        .output()
        .context("start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk ended with {}: {text}",
        output.status
    );
    parse(&text)
}

fn parse(text: &str) -> Result<Said> {
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("not every answer was good:\n{text}");
    }
    let word = |label: &str, index: usize| {
        let mut lines = text.lines().map(str::trim);
        let line = lines.find(|line| line.split_whitespace().any(|word| word == label));
        line.and_then(|line| line.split_whitespace().nth(index))
            .with_context(|| format!("wrk did not say `{label}`:\n{text}"))
    };
    let said = Said {
        requests: word("requests", 0)?.parse().context("the number of requests")?,
        rate: word("Requests/sec:", 1)?.parse().context("requests per second")?,
        p50: microseconds(word("50%", 1)?)?,
        p99: microseconds(word("99%", 1)?)?,
    };
    ensure!(said.requests > 0, "no request was answered");
    Ok(said)
}

/// `1.23ms` and its like.
fn microseconds(text: &str) -> Result<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (text.strip_suffix('s').context("a time without unit")?, 1e6)
    };
    let number: f64 = number.parse().with_context(|| format!("the time {text:?}"))?;
    Ok(number * factor)
}

/// User and kernel time of a process, in ticks (proc(5), `stat`, fields 14 and 15).
fn cpu(id: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name, in parentheses, may hold anything.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("a short stat")?.parse()?) };
    Ok((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "  Latency Distribution\n     50%    1.39ms\n     75%    1.50ms\n     99%  900.00us\n  \
                        87654 requests in 2.00s, 20.10MB read\nRequests/sec:  43821.10\n";

    #[test]
    fn what_wrk_says() {
        let said = parse(SAID).unwrap();
        assert_eq!(
            (said.requests, said.rate, said.p50, said.p99),
            (87_654, 43_821.1, 1_390.0, 900.0)
        );
    }

    #[test]
    fn one_bad_answer_is_no_figure() {
        for bad in [
            "  Non-2xx or 3xx responses: 1\n",
            "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
        ] {
            assert!(parse(&format!("{SAID}{bad}")).is_err());
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn our_own_cpu_time_is_readable() {
        cpu(std::process::id()).unwrap();
    }
}

//! wrk: HTTP/1.1 as fast as answers come.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::super::case::{Ask, Case};
use super::super::place::HOST;
use super::super::proxies::Proxy;
use super::{Pace, Said, on_load_core, printed};

/// Connections at once; a download's fewer ones fill the proxy as well.
const CONNECTIONS: &str = "64";
const DOWNLOADS: &str = "16";

pub(super) fn ask(case: &Case, proxy: &Proxy, pace: Pace) -> Result<Said> {
    let connections = if case.ask == Ask::Download {
        DOWNLOADS
    } else {
        CONNECTIONS
    };
    let mut command = on_load_core("wrk");
    command.args(["-t1", "-c", connections, "--latency"]);
    command.args([
        "-d",
        &format!("{}s", pace.seconds),
        "-H",
        &format!("Host: {HOST}"),
    ]);
    if case.ask == Ask::Fresh {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(url(case, proxy));
    parse(&printed(&mut command, "wrk")?)
}

/// `connections` that ask once, by `script`, and stay for `seconds`.
pub(in super::super) fn idle(
    case: &Case,
    proxy: &Proxy,
    script: &Path,
    connections: usize,
    seconds: u32,
) -> Command {
    let mut command = on_load_core("wrk");
    command.args(["-t1", "-c", &connections.to_string()]);
    command.args(["-d", &format!("{seconds}s"), "-H", &format!("Host: {HOST}"), "-s"]);
    command.arg(script).arg(url(case, proxy));
    command
}

fn url(case: &Case, proxy: &Proxy) -> String {
    format!("{}://{}{}", case.scheme(), case.address(proxy), case.path())
}

/// What wrk says, with `--latency`.
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
    Ok(Said {
        requests: word("requests", 0)?.parse().context("the number of requests")?,
        rate: word("Requests/sec:", 1)?.parse().context("requests per second")?,
        p50: microseconds(word("50%", 1)?)?,
        p99: microseconds(word("99%", 1)?)?,
        bytes: bytes(word("read", 4)?)?,
    })
}

/// `1.23ms` and its like.
fn microseconds(text: &str) -> Result<f64> {
    number(text, &[("us", 1.0), ("ms", 1e3), ("s", 1e6)])
}

/// `1.23MB` and its like; wrk counts by 1024.
fn bytes(text: &str) -> Result<f64> {
    let units = [
        ("GB", f64::from(1 << 30)),
        ("MB", f64::from(1 << 20)),
        ("KB", 1024.0),
        ("B", 1.0),
    ];
    number(text, &units)
}

fn number(text: &str, units: &[(&str, f64)]) -> Result<f64> {
    let mut read = units
        .iter()
        .filter_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = read.next().with_context(|| format!("no unit in {text:?}"))?;
    let number: f64 = number
        .parse()
        .with_context(|| format!("the number in {text:?}"))?;
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "  Latency Distribution\n     50%    1.39ms\n     75%    1.50ms\n     99%  900.00us\n  \
                        87654 requests in 2.00s, 20.00MB read\nRequests/sec:  43821.10\n";

    #[test]
    fn what_wrk_says() {
        let expected = Said {
            requests: 87_654,
            rate: 43_821.1,
            p50: 1_390.0,
            p99: 900.0,
            bytes: 20.0 * 1024.0 * 1024.0,
        };
        assert_eq!(parse(SAID).unwrap(), expected);
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
}

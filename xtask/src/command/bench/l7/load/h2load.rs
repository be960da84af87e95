//! h2load: HTTP/2, and HTTP/1.1 at a rate. The times of the answers come from its log of every request.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::super::case::{Ask, Case};
use super::super::place::{HOST, Place};
use super::super::proxies::Proxy;
use super::{Pace, Said, on_load_core, printed};

/// Connections and streams of each: 64 requests at once.
const CONNECTIONS: &str = "8";
const STREAMS: &str = "8";
/// Connections that keep a rate together.
const PACED: u32 = 64;

pub(super) fn ask(case: &Case, proxy: &Proxy, place: &Place, pace: Pace) -> Result<Said> {
    let log = place.folder().join("requests.log");
    let mut command = on_load_core("h2load");
    if case.ask == Ask::Streams {
        command.args(["-c", CONNECTIONS, "-m", STREAMS]);
    } else {
        let rate = pace.rate / f64::from(PACED);
        command.args(["--h1", "-c", &PACED.to_string(), &format!("--rps={rate:.1}")]);
    }
    command.args(["-t1", "-D", &pace.seconds.to_string()]);
    command.arg(format!("--connect-to={}", case.address(proxy)));
    command.arg("--log-file").arg(&log);
    command.arg(format!("{}://{HOST}{}", case.scheme(), case.path()));
    let text = printed(&mut command, "h2load")?;
    let times = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
    // The next one would be appended.
    fs::remove_file(&log).with_context(|| format!("remove {}", log.display()))?;
    parse(&text, &times, pace.seconds)
}

/// What h2load says, and its log: begin, status and microseconds of each request.
fn parse(text: &str, log: &str, seconds: u32) -> Result<Said> {
    let field = |line: &str, label: &str| -> Result<u64> {
        let mut lines = text.lines();
        let line = lines.find_map(|text| text.trim().strip_prefix(line));
        let mut parts = line.into_iter().flat_map(|line| line.split(','));
        let part = parts.find_map(|part| part.trim().strip_suffix(label));
        let part = part.with_context(|| format!("h2load did not say `{label}`:\n{text}"))?;
        // `1.2MB (1234)` or `1234`.
        let number = part.trim().trim_end_matches(')');
        let number = number.rsplit(['(', ' ']).next().unwrap_or_default();
        number
            .parse()
            .with_context(|| format!("the number before `{label}`"))
    };
    let succeeded = field("requests:", " succeeded")?;
    for bad in [" failed", " errored", " timeout"] {
        ensure!(
            field("requests:", bad)? == 0,
            "not every answer was good:\n{text}"
        );
    }
    let good = field("status codes:", " 2xx")?;
    ensure!(
        good == succeeded,
        "{good} good statuses of {succeeded} answers:\n{text}"
    );
    let mut times = Vec::new();
    for line in log.lines() {
        let time = line.split('\t').nth(2).and_then(|time| time.parse::<u32>().ok());
        times.push(time.with_context(|| format!("h2load logged {line:?}"))?);
    }
    times.sort_unstable();
    let of_hundred = |part: usize| {
        let time = times.get(times.len() * part / 100);
        time.copied().map(f64::from).context("h2load logged nothing")
    };
    Ok(Said {
        requests: succeeded,
        rate: succeeded as f64 / f64::from(seconds),
        p50: of_hundred(50)?,
        p99: of_hundred(99)?,
        bytes: field("traffic:", " data")? as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "finished in 2.00s, 5.00 req/s, 1.46KB/s\n\
        requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout\n\
        status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx\n\
        traffic: 2.92KB (2990) total, 910B (910) headers (space savings 0.00%), 630B (630) data\n";

    #[test]
    fn what_h2load_says() {
        let log = "1\t200\t30\n2\t200\t10\n3\t200\t20\n";
        let expected = Said {
            requests: 10,
            rate: 5.0,
            p50: 20.0,
            p99: 30.0,
            bytes: 630.0,
        };
        assert_eq!(parse(SAID, log, 2).unwrap(), expected);
        assert!(parse(SAID, "", 2).is_err());
        for (good, bad) in [("0 errored", "1 errored"), ("10 2xx", "9 2xx")] {
            assert!(parse(&SAID.replace(good, bad), log, 2).is_err());
        }
    }
}

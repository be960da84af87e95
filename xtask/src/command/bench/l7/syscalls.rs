//! System calls per keep-alive request, counted by strace while a load runs.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::case::KEPT;
use super::load::{self, Pace};
use super::place::Place;
use super::proxies::Proxy;

/// Long enough for the connections' own calls to be few among the requests'.
const SECONDS: u32 = 3;
/// How long strace takes to attach, at most.
const ATTACH: Duration = Duration::from_millis(500);

/// System calls per request.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) total: f64,
    /// By name, the most frequent first.
    pub(super) by_name: Vec<(String, f64)>,
}

pub(super) fn per_request(proxy: &Proxy, place: &Place) -> Result<Calls> {
    let pace = Pace {
        seconds: SECONDS,
        rate: 0.0,
    };
    // Connections to the pod are made before counting.
    load::ask(&KEPT, proxy, place, pace)?;
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-p", &proxy.id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start strace")?;
    sleep(ATTACH);
    let said = load::ask(&KEPT, proxy, place, pace);
    // It detaches and prints its table.
    kill_process(Pid::from_child(&strace), Signal::INT).context("interrupt strace")?;
    let stderr = strace.stderr.take().context("no standard error")?;
    let text = std::io::read_to_string(stderr).context("read strace's table")?;
    strace.wait().context("wait for strace")?;
    let counts = counts(&text)?;
    let requests = said?.requests;
    let calls: u64 = counts.iter().map(|(_, calls)| calls).sum();
    ensure!(
        calls > requests,
        "{calls} system calls for {requests} requests: strace saw only some"
    );
    let each = |calls: u64| calls as f64 / requests as f64;
    Ok(Calls {
        total: each(calls),
        by_name: counts
            .into_iter()
            .map(|(name, calls)| (name, each(calls)))
            .collect(),
    })
}

/// The lines of strace's table: `12.34  0.123  1  45678  12  recvfrom`, the errors left out where there are none.
fn counts(text: &str) -> Result<Vec<(String, u64)>> {
    let mut counts = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ([_, _, _, calls, name] | [_, _, _, calls, _, name]) = *words.as_slice() else {
            continue;
        };
        let Ok(calls) = calls.parse() else { continue };
        if name != "total" {
            counts.push((name.to_owned(), calls));
        }
    }
    ensure!(!counts.is_empty(), "strace printed no table:\n{text}");
    counts.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    60.00    0.123456           1     40000           writev\n\
                    40.00    0.123456           1     45678        12 recvfrom\n\
                    100.00    0.123456           1     85678        12 total\n";
        let expected = [("recvfrom".to_owned(), 45_678), ("writev".to_owned(), 40_000)];
        assert_eq!(counts(text).unwrap(), expected);
        assert!(counts("").is_err());
    }
}

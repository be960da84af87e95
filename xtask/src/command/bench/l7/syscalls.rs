//! System calls per keep-alive request, counted by strace while a load runs.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::load::{self, CASES};
use super::proxies::Proxy;

/// How long strace takes to attach, at most.
const ATTACH: Duration = Duration::from_millis(500);

pub(super) fn per_request(proxy: &Proxy) -> Result<f64> {
    let [case, ..] = &CASES;
    // Connections to the pod are made before counting.
    load::ask(case, proxy, 1)?;
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-p", &proxy.id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start strace")?;
    sleep(ATTACH);
    let said = load::ask(case, proxy, 1);
    // It detaches and prints its table.
    kill_process(Pid::from_child(&strace), Signal::INT).context("interrupt strace")?;
    let stderr = strace.stderr.take().context("no standard error")?;
    let text = std::io::read_to_string(stderr).context("read strace's table")?;
    strace.wait().context("wait for strace")?;
    let calls = total(&text)?;
    let requests = said?.requests;
    ensure!(
        calls > requests,
        "{calls} system calls for {requests} requests: strace saw only some"
    );
    Ok(calls as f64 / requests as f64)
}

/// The calls of the line `total`: `100.00  0.123  1  45678  12 total`.
fn total(text: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.trim_end().ends_with(" total"));
    let line = line.with_context(|| format!("strace printed no total:\n{text}"))?;
    let calls = line.split_whitespace().nth(3).context("a short line")?;
    calls.parse().with_context(|| format!("the calls in {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    100.00    0.123456           1     45678        12 total\n";
        assert_eq!(total(text).unwrap(), 45_678);
        assert!(total("").is_err());
    }
}

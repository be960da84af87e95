//! One case of one proxy: a load, and what the proxy's process paid for it.
//!
//! wrk asks as fast as it can; h2load where HTTP/2 or a rate is wanted, which wrk does not have.

mod h2load;
mod wrk;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::case::{Ask, Case, FILL};
use super::place::{HOST, Place};
use super::proxies::{LOAD_CORE, Proxy};

/// `USER_HZ`, the same on every machine this runs on (time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) use self::wrk::idle as idle_load;

/// Of one run: microseconds per request, requests per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) user: f64,
    pub(super) kernel: f64,
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// What a load generator says: times in microseconds, the rate per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) requests: u64,
    pub(super) rate: f64,
    p50: f64,
    p99: f64,
    /// Of the answers, at least their bodies.
    bytes: f64,
}

/// How long and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) seconds: u32,
    /// Requests per second of [`Ask::Paced`].
    pub(super) rate: f64,
}

/// Asks for a while and measures.
pub(super) fn sample(case: &Case, proxy: &Proxy, place: &Place, pace: Pace) -> Result<Sample> {
    look_at_one(case, proxy)?;
    let before = cpu(proxy.id())?;
    let said = ask(case, proxy, place, pace)?;
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

/// A load; every answer must be good.
pub(super) fn ask(case: &Case, proxy: &Proxy, place: &Place, pace: Pace) -> Result<Said> {
    let said = match case.ask {
        Ask::Kept | Ask::Fresh | Ask::Download => wrk::ask(case, proxy, pace)?,
        Ask::Streams | Ask::Paced => h2load::ask(case, proxy, place, pace)?,
    };
    ensure!(said.requests > 0, "no request was answered");
    // wrk rounds to three digits.
    let least = said.requests as f64 * case.length() as f64 * 0.99;
    ensure!(
        said.bytes >= least,
        "{} answers in {} bytes: not every body was whole",
        said.requests,
        said.bytes
    );
    Ok(said)
}

/// One answer, byte for byte: the generators count the others.
fn look_at_one(case: &Case, proxy: &Proxy) -> Result<()> {
    let http = if case.ask == Ask::Streams {
        "--http2"
    } else {
        "--http1.1"
    };
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--insecure", http])
        .args(["--max-time", "10", "--connect-to"])
        .arg(format!("::{}", case.address(proxy)))
        .args(["--write-out", "%{stderr}%{http_version} %{http_code}"])
        .arg(format!("{}://{HOST}{}", case.scheme(), case.path()))
        .output()
        .context("start curl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = if case.ask == Ask::Streams {
        "2 200"
    } else {
        "1.1 200"
    };
    ensure!(said == expected, "curl was told {said:?} instead of {expected:?}");
    ensure!(
        output.stdout == FILL.repeat(case.length()).as_bytes(),
        "a body of {} bytes that is not the pod's",
        output.stdout.len()
    );
    Ok(())
}

/// A command on the load's core.
fn on_load_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, program]);
    command
}

/// What it printed; an error if it failed.
fn printed(command: &mut Command, program: &str) -> Result<String> {
    let output = command.output().with_context(|| format!("start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{program} ended with {}: {text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
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
    #[test]
    fn our_own_cpu_time_is_readable() {
        super::cpu(std::process::id()).unwrap();
    }
}

//! Memory per idle connection: many connections that asked once and wait.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::case::Case;
use super::load::idle_load;
use super::place::Place;
use super::proxies::Proxy;

const CONNECTIONS: usize = 500;
/// Asked and closed before, so that what is allocated once is there.
const WARM: usize = 50;
/// How long the connections stay, and when the memory is read: all have asked by then, and waited for a while.
const STAY: u32 = 7;
const READ: Duration = Duration::from_secs(6);

/// Each connection asks one millisecond after the one before, and then not again.
const ASK_ONCE: &str = "local asked = 0
function delay()
  asked = asked + 1
  if asked > CONNECTIONS then return 3600000 end
  return asked
end
";

/// Resident bytes of the proxy's process per connection.
pub(super) fn per_connection(case: &Case, proxy: &Proxy, place: &Place) -> Result<f64> {
    let stay = |connections: usize, seconds| {
        let script = ASK_ONCE.replace("CONNECTIONS", &connections.to_string());
        let script = place.write("ask-once.lua", &script)?;
        let mut load = idle_load(case, proxy, &script, connections, seconds);
        load.stdout(Stdio::piped()).spawn().context("start wrk")
    };
    stay(WARM, 1)?.wait().context("wait for wrk")?;
    sleep(Duration::from_millis(300));
    let before = resident(proxy.id())?;
    let load = stay(CONNECTIONS, STAY)?;
    sleep(READ);
    let after = resident(proxy.id());
    let output = load.wait_with_output().context("wait for wrk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.contains(&format!(" {CONNECTIONS} requests in ")) && !said.contains("Non-2xx"),
        "not every connection was answered once:\n{said}"
    );
    Ok((after? as f64 - before as f64) / CONNECTIONS as f64)
}

fn resident(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.context("no VmRSS")?.trim().parse().context("VmRSS")?;
    Ok(kibibytes * 1024)
}

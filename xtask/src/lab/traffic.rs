//! Requests that go on while something else happens: curl, again and again, each on a connection of its
//! own, every outcome counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};

use super::{Client, Namespace};

/// What was sent and what became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sent {
    /// Requests sent.
    pub sent: u32,
    /// Those not answered by 200.
    pub failed: u32,
    /// Those whose connection took a second or more: a packet of its handshake was lost.
    pub late: u32,
    /// What curl said of the last failure.
    pub last_failure: Option<String>,
}

/// Running requests.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sent>>>,
}

impl Traffic {
    /// Asks for a URL at a VIP until [`Traffic::stop`].
    pub fn start(client: &Client, vip: IpAddr, url: &str) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, namespace) = (Arc::clone(&stop), client.namespace().clone());
        let arguments = client.arguments(vip);
        let url = format!("{url}?n=[1-{BATCH}]");
        let thread = std::thread::Builder::new()
            .name("traffic".to_owned())
            .spawn(move || {
                let mut sent = Sent::default();
                while !stopped.load(Ordering::Relaxed) {
                    batch(&namespace, &arguments, &url, &mut sent)?;
                }
                Ok(sent)
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends the requests and gives the count.
    pub fn stop(mut self) -> Result<Sent> {
        self.finish().context("the traffic was stopped already")?
    }

    fn finish(&mut self) -> Option<Result<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        Some(match self.thread.take()?.join() {
            Ok(sent) => sent,
            Err(_) => Err(anyhow::anyhow!("the traffic's thread panicked")),
        })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // Whoever wants the outcome calls `stop`.
        drop(self.finish());
    }
}

/// Requests per curl process: its start costs more than a request.
const BATCH: u32 = 20;

fn batch(client: &Namespace, arguments: &[String], url: &str, sent: &mut Sent) -> Result<()> {
    let output = client
        .command("curl")
        .args(arguments)
        .args([
            "--header",
            "Connection: close",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{time_connect}\\n",
            url,
        ])
        .output()
        .context("start curl")?;
    let codes = String::from_utf8_lossy(&output.stdout);
    if codes.lines().count() == 0 {
        bail!("curl {url}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for line in codes.lines() {
        let (code, connected) = line.split_once(' ').unwrap_or((line, ""));
        sent.sent += 1;
        sent.late += u32::from(connected.parse().is_ok_and(|seconds: f64| seconds >= 1.0));
        if code != "200" {
            sent.failed += 1;
            let said = String::from_utf8_lossy(&output.stderr);
            sent.last_failure = Some(format!(
                "status {code}; {}",
                said.lines().next().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

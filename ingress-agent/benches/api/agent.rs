//! A running agent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xtask::lab::Process;

use crate::fill::NAMESPACE;
use crate::place::{NODE, Place};
use crate::probe::Probe;
use crate::usage;

/// How long an agent may take for what it does now and then.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Agent {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// When it was started.
    pub(crate) began: Instant,
    /// Where its metrics are.
    admin: PathBuf,
}

/// What an agent leaves to the next one.
pub(crate) struct Home {
    run: TempDir,
    state: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            // In memory, as a Pod's: only there are keys kept.
            run: tempfile::tempdir_in("/dev/shm").unwrap(),
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// Waits until a snapshot is kept.
    pub(crate) fn wait_until_saved(&self) {
        let until = Instant::now() + PATIENCE;
        while !self.state.path().join("snapshot").exists() {
            assert!(Instant::now() < until, "no snapshot is kept");
            std::thread::sleep(LOOK);
        }
    }
}

impl Agent {
    /// Starts one that only reads; `number` makes its addresses its own.
    pub(crate) fn start(place: &Place, name: &str, number: u8, home: &Home) -> Self {
        Self::start_with(place, name, number, home, &["--no-publish"])
    }

    /// Starts the agent of the Node of its name, which tells the others so and may lead.
    pub(crate) fn member(place: &Place, name: &str, number: u8, home: &Home) -> Self {
        Self::start_with(
            place,
            name,
            number,
            home,
            &["--node", name, "--namespace", "default"],
        )
    }

    /// Starts one that publishes the address of its Node.
    pub(crate) fn publishing(place: &Place, name: &str, home: &Home) -> Self {
        let publishes = ["--namespace", NAMESPACE, "--node", NODE];
        Self::start_with(place, name, 1, home, &publishes)
    }

    fn start_with(place: &Place, name: &str, number: u8, home: &Home, flags: &[&str]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number), 80));
        let tls = SocketAddr::from((address.ip(), 443));
        let mut command = place.namespace.command(&place.agent);
        command
            .args(["run", "--source", "kube", "--no-xdp"])
            .args(flags)
            .args(["--listen", &address.to_string(), "--tls-listen", &tls.to_string()])
            .arg("--run-dir")
            .arg(home.run.path())
            .arg("--state-dir")
            .arg(home.state.path())
            .env("KUBECONFIG", &place.kubeconfig)
            .env("NO_COLOR", "1");
        let began = Instant::now();
        Self {
            process: place.scratch.start(name, &mut command).unwrap(),
            address,
            began,
            admin: home.run.path().join("admin.sock"),
        }
    }

    pub(crate) fn probe(&self) -> Probe {
        Probe::new(self.address)
    }

    pub(crate) fn wait_until_serving(&self) {
        let serving = "serving without XDP";
        self.process.wait_for_log(serving, 0, PATIENCE).unwrap();
    }

    pub(crate) fn cpu(&self) -> Duration {
        usage::cpu(self.process.id())
    }

    /// Resident megabytes, once they no longer fall.
    pub(crate) fn memory(&self) -> f64 {
        let resident = || usage::memory(self.process.id());
        let mut last = resident();
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let now = resident();
            if now + 1_000_000 > last {
                return now as f64 / 1e6;
            }
            last = now;
        }
    }

    /// How long translating has taken so far, in seconds, and how often it was done.
    pub(crate) fn translated(&self) -> [f64; 2] {
        let mut stream = UnixStream::connect(&self.admin).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        ["sum", "count"].map(|field| {
            let name = format!("ingress_agent_translate_duration_seconds_{field} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&name));
            value.expect("the metric").parse().unwrap()
        })
    }
}

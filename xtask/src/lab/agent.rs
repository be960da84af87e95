//! An agent on one of the lab's nodes: its process, and its maps seen from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::bpftool::{Counters, dump_text, link_id};
use super::namespace::run;
use super::{Lab, NIC, Process};

/// How long an agent may take to serve. A debug build on a busy machine loads its programs in seconds.
const START: Duration = Duration::from_secs(30);

/// A running agent. Dropping it kills it; its pins stay, and packets keep flowing.
#[derive(Debug)]
pub struct Agent {
    number: u8,
    binary: PathBuf,
    pins: PathBuf,
    process: Process,
    log_start: usize,
}

impl Agent {
    /// Starts the program on a node; its directories are the lab's.
    pub(super) fn start(lab: &Lab, number: u8, binary: &Path, arguments: &[&str]) -> Result<Self> {
        let name = format!("node{number}");
        let pins = lab.pins(number);
        let log = lab.directory().join(format!("{name}.log"));
        let own = |kind: &str| lab.directory().join(format!("{name}-{kind}"));
        let log_start = fs::metadata(&log).map_or(0, |file| usize::try_from(file.len()).unwrap_or(0));
        let mut command = lab.node(number)?.command(binary);
        command
            .args(["run", "--node", &name, "--interface", NIC])
            .arg("--source")
            .arg(format!("file:{}", lab.manifests().directory().display()))
            .arg("--pin-dir")
            .arg(&pins)
            .arg("--run-dir")
            .arg(own("run"))
            .arg("--state-dir")
            .arg(own("state"))
            .args(arguments)
            .env("NO_COLOR", "1");
        let process = Process::start(&name, &mut command, &log)?;
        Ok(Self {
            number,
            binary: binary.to_owned(),
            pins,
            process,
            log_start,
        })
    }

    /// Waits until it says that it serves.
    pub fn wait_until_serving(&self) -> Result<()> {
        self.wait_for_log("serving", START)
    }

    /// Waits until this run's log holds a text.
    pub fn wait_for_log(&self, text: &str, deadline: Duration) -> Result<()> {
        self.process.wait_for_log(text, self.log_start, deadline)
    }

    /// What this run logged so far.
    pub fn log(&self) -> String {
        self.process
            .log()
            .get(self.log_start..)
            .unwrap_or_default()
            .to_owned()
    }

    /// The number of its node.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where it pins.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// SIGTERM: it drains, then ends. Waits for the end.
    pub fn terminate(self, deadline: Duration) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(deadline)
    }

    /// `kill -9`, and nothing cleaned up.
    pub fn kill(self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(Duration::from_secs(5)).map(drop)
    }

    /// What its XDP programs counted.
    pub fn counters(&self) -> Result<Counters> {
        Counters::read(&self.pins)
    }

    /// What `bpftool map dump pinned` prints of one of its maps.
    pub fn dump(&self, map: &str) -> Result<String> {
        dump_text(&self.pins.join(map))
    }

    /// What `ingress-agent maps` says.
    pub fn maps(&self) -> Result<String> {
        run(
            Command::new(&self.binary)
                .args(["maps", "--pin-dir"])
                .arg(&self.pins),
            "",
        )
    }

    /// The command line of [`Agent::maps`], for a reader to try.
    pub fn maps_command_line(&self) -> String {
        format!("{} maps --pin-dir {}", self.binary.display(), self.pins.display())
    }

    /// The ids of its pinned links, by the pins' names.
    pub fn links(&self) -> Result<BTreeMap<String, u64>> {
        let directory = self.pins.join("links");
        let mut links = BTreeMap::new();
        for entry in fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
            let entry = entry?;
            links.insert(
                entry.file_name().to_string_lossy().into_owned(),
                link_id(&entry.path())?,
            );
        }
        Ok(links)
    }
}

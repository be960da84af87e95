//! What tests could leave behind: namespaces, bpffs mounts, eBPF programs, links and maps, processes, and
//! directories of labs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitOptions, getpid};
use serde_json::Value;

use super::isolation::NAMESPACES;

/// The kernel frees programs and maps a while after their last user is gone.
const FREED: Duration = Duration::from_secs(15);

/// What is there, one line each.
#[derive(Debug)]
pub(super) struct Leftovers(BTreeSet<String>);

impl Leftovers {
    pub(super) fn now() -> Result<Self> {
        let mut lines = BTreeSet::new();
        lines.extend(names(NAMESPACES, "").map(|name| format!("network namespace {name}")));
        lines.extend(names("/tmp", xtask::lab::PREFIX).map(|name| format!("directory /tmp/{name}")));
        let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
        let bpffs = mounts
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some("bpf"));
        lines.extend(bpffs.map(|line| format!("mount {line}")));
        for kind in ["prog", "link", "map"] {
            lines.extend(bpf_objects(kind)?);
        }
        lines.extend(
            children()?
                .into_iter()
                .map(|(pid, name)| format!("process {pid} {name}")),
        );
        Ok(Self(lines))
    }

    /// Waits until nothing is there that was not there before; what stays is then removed: processes and
    /// labs here, the rest with this process's mounts.
    ///
    /// # Errors
    ///
    /// Names what stayed.
    pub(super) fn nothing_new(&self) -> Result<()> {
        let until = Instant::now() + FREED;
        loop {
            let now = Self::now()?;
            let new: Vec<_> = now.0.difference(&self.0).cloned().collect();
            if new.is_empty() {
                eprintln!("nothing");
                return Ok(());
            }
            if Instant::now() > until {
                for (pid, _) in children()? {
                    rustix::process::kill_process(pid, Signal::KILL).ok();
                }
                xtask::lab::remove_dead_labs();
                bail!("left behind, and removed now:\n{}", new.join("\n"));
            }
            sleep(Duration::from_millis(200));
        }
    }
}

fn names(directory: &str, prefix: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(move |name| name.starts_with(prefix))
}

/// The kernel's programs, links or maps.
fn bpf_objects(kind: &str) -> Result<Vec<String>> {
    let output = Command::new("bpftool")
        .args(["-j", kind, "list"])
        .output()
        .context("start bpftool")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let list: Value = serde_json::from_str(&text).with_context(|| format!("bpftool {kind} list: {text}"))?;
    let objects = list.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(objects
        .iter()
        .map(|object| {
            let field = |name: &str| object.get(name).map(Value::to_string).unwrap_or_default();
            format!("eBPF {kind} {} {} {}", field("id"), field("type"), field("name"))
        })
        .collect())
}

/// The processes whose parent we are; orphans of the tests come to us. Reaps those that have ended.
fn children() -> Result<Vec<(Pid, String)>> {
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
    let own = getpid().to_string();
    let mut children = Vec::new();
    for pid in names("/proc", "").filter_map(|name| Pid::from_raw(name.parse().ok()?)) {
        // A process that ended meanwhile has no status, and is no leftover.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
            continue;
        };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .unwrap_or_default()
                .trim()
        };
        if field("PPid") == own && !field("State").starts_with('Z') {
            children.push((pid, field("Name").to_owned()));
        }
    }
    Ok(children)
}

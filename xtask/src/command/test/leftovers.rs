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
pub(super) struct Leftovers {
    /// What can only be ours: the tests have their own mounts, and their orphans come to us.
    own: BTreeSet<String>,
    /// The machine's eBPF objects, which bear no owner's name.
    objects: BTreeSet<String>,
}

impl Leftovers {
    pub(super) fn now() -> Result<Self> {
        let mut own = BTreeSet::new();
        own.extend(names(NAMESPACES, "").map(|name| format!("network namespace {name}")));
        own.extend(
            xtask::lab::dead_labs()
                .into_iter()
                .map(|name| format!("directory {name}")),
        );
        let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
        let bpffs = mounts
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some("bpf"));
        own.extend(bpffs.map(|line| format!("mount {line}")));
        own.extend(
            children()?
                .into_iter()
                .map(|(pid, name)| format!("process {pid} {name}")),
        );
        let mut objects = BTreeSet::new();
        for kind in ["prog", "link", "map"] {
            objects.extend(bpf_objects(kind)?);
        }
        Ok(Self { own, objects })
    }

    /// Waits until nothing is there of what came since; what stays is then removed: processes and labs
    /// here, the rest with this process's mounts.
    ///
    /// # Errors
    ///
    /// Names what stayed. Where `CI` is not set, other work on the machine may have made the eBPF objects
    /// that stayed, and they are told and no error.
    pub(super) fn nothing_new(&self) -> Result<()> {
        let until = Instant::now() + FREED;
        let came: BTreeSet<_> = Self::now()?.objects.difference(&self.objects).cloned().collect();
        loop {
            let now = Self::now()?;
            let own: Vec<_> = now.own.difference(&self.own).cloned().collect();
            let objects: Vec<_> = now.objects.intersection(&came).cloned().collect();
            if own.is_empty() && objects.is_empty() {
                eprintln!("nothing");
                return Ok(());
            }
            if Instant::now() > until {
                return judge(&own, &objects);
            }
            sleep(Duration::from_millis(200));
        }
    }
}

/// What to say of things that stayed.
fn judge(own: &[String], objects: &[String]) -> Result<()> {
    for (pid, _) in children()? {
        // It may have ended by itself.
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
    xtask::lab::remove_dead_labs();
    if own.is_empty() && std::env::var_os("CI").is_none() {
        eprintln!(
            "nothing that can only be the tests'; new on this machine:\n{}",
            objects.join("\n")
        );
        return Ok(());
    }
    bail!(
        "left behind, and removed now:\n{}",
        [own, objects].concat().join("\n")
    )
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

//! What a lab leaves behind, removed: at its end, on a panic, on Ctrl-C, and what a killed lab could not
//! remove by the next one.
//!
//! Everything a lab makes bears its prefix, `il-PID-NUMBER`, so that a lab whose process is gone is known by
//! its name. Programs and links need no removal: they live by descriptors and by pins inside the lab's
//! own bpffs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Pid;
use tokio::signal::unix::{SignalKind, signal};

use super::namespace::{DIRECTORY, run};
use super::process::{SharedChild, end};

/// What every name of a lab begins with.
const PREFIX: &str = "il-";

/// Set when a signal has begun to tear everything down.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LABS: Mutex<Vec<Weak<Teardown>>> = Mutex::new(Vec::new());

/// The things to remove. [`Teardown::run`] may be called more than once.
#[derive(Debug)]
pub(super) struct Teardown {
    prefix: String,
    directory: PathBuf,
    children: Mutex<Vec<SharedChild>>,
}

impl Teardown {
    /// Takes the lab's names: makes its directory, with a bpffs of its own at `bpf`, and has signals
    /// clean up from now on. Leftovers of dead labs go first.
    pub(super) fn begin() -> Result<Arc<Self>> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        clean_up_on_signals();
        remove_dead_labs();
        let prefix = format!("{PREFIX}{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(&prefix);
        let teardown = Arc::new(Self {
            prefix,
            directory,
            children: Mutex::default(),
        });
        LABS.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::downgrade(&teardown));
        let bpffs = teardown.directory.join("bpf");
        fs::create_dir_all(&bpffs).with_context(|| format!("mkdir {}", bpffs.display()))?;
        rustix::mount::mount("lab", &bpffs, "bpf", MountFlags::empty(), None)
            .with_context(|| format!("mount bpffs on {}", bpffs.display()))?;
        Ok(teardown)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn adopt(&self, child: SharedChild) {
        self.children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(child);
    }

    /// Ends the processes, then removes the namespaces, the mount and the directory.
    pub(super) fn run(&self) {
        for child in self
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            end(&child);
        }
        remove(&self.prefix, &self.directory);
    }
}

/// Waits for the process's end if a signal has begun it: what fails from then on is no finding.
pub fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::Acquire) {
        std::thread::park();
    }
}

/// Removes what bears a prefix. Errors are those of things that are gone already.
fn remove(prefix: &str, directory: &Path) {
    for name in names(Path::new(DIRECTORY)) {
        if name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('-'))
        {
            run(Command::new("ip").args(["netns", "del", &name]), "").ok();
        }
    }
    for mount in mounts_below(directory) {
        rustix::mount::unmount(mount, UnmountFlags::DETACH).ok();
    }
    fs::remove_dir_all(directory).ok();
}

/// What is mounted in a directory, the last first.
fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<_> = points
        .map(PathBuf::from)
        .filter(|point| point.starts_with(directory))
        .collect();
    below.reverse();
    below
}

/// Removes what labs left behind whose process was killed.
pub fn remove_dead_labs() {
    for prefix in dead_labs() {
        remove(&prefix, &std::env::temp_dir().join(&prefix));
    }
}

/// The prefixes of labs whose process was killed before it could clean up.
pub fn dead_labs() -> BTreeSet<String> {
    names(Path::new(DIRECTORY))
        .chain(names(&std::env::temp_dir()))
        .filter_map(|name| {
            let (pid, rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
            let pid = Pid::from_raw(pid.parse().ok()?)?;
            let number: u32 = rest.split('-').next()?.parse().ok()?;
            let is_dead = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
            is_dead.then(|| format!("{PREFIX}{pid}-{number}"))
        })
        .collect()
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// On SIGINT, SIGTERM or SIGHUP: tears down every lab of this process, then exits as the signal would.
fn clean_up_on_signals() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let watcher = std::thread::Builder::new().name("signals".to_owned());
        // A thread that cannot start leaves the signals to their default; the next lab cleans up then.
        drop(watcher.spawn(|| -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            let number = runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt())?;
                let mut terminate = signal(SignalKind::terminate())?;
                let mut hangup = signal(SignalKind::hangup())?;
                let kind = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = hangup.recv() => SignalKind::hangup(),
                };
                anyhow::Ok(kind.as_raw_value())
            })?;
            INTERRUPTED.store(true, Ordering::Release);
            let labs: Vec<_> = LABS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain(..)
                .collect();
            labs.iter().filter_map(Weak::upgrade).for_each(|lab| lab.run());
            std::process::exit(128 + number)
        }));
    });
}

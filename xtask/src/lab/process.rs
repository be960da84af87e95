//! A process of the lab: started inside a namespace, its log in a file, gone when it is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

/// What marks the log line of a request.
pub(super) const ACCESS: &str = " access: ";
/// How many lines of a log an error shows.
const LAST_WORDS: usize = 20;
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(10);

/// The child itself, shared with the [`Teardown`](super::teardown).
pub(super) type SharedChild = Arc<Mutex<Child>>;

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: SharedChild,
    log: PathBuf,
}

impl Process {
    /// Starts the command; what it prints goes to the end of `log`.
    pub(super) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            pid: Pid::from_child(&child),
            child: Arc::new(Mutex::new(child)),
            log: log.to_owned(),
        })
    }

    pub(super) fn share(&self) -> SharedChild {
        Arc::clone(&self.child)
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it printed, for an error: without the line of every request.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let mut lines: Vec<_> = log
            .lines()
            .rev()
            .filter(|line| !line.contains(ACCESS))
            .take(LAST_WORDS)
            .collect();
        lines.reverse();
        lines.join("\n")
    }

    /// Waits until its log, from the byte `from` on, holds `text`.
    pub fn wait_for_log(&self, text: &str, from: usize, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        loop {
            let ended = self.ended()?;
            if self.log().get(from..).is_some_and(|new| new.contains(text)) {
                return Ok(());
            }
            let (name, words) = (&self.name, self.last_words());
            if let Some(status) = ended {
                bail!("{name} ended ({status}) before it said \"{text}\":\n{words}");
            }
            if Instant::now() > until {
                bail!("{name} did not say \"{text}\" within {deadline:?}:\n{words}");
            }
            sleep(LOOK);
        }
    }

    /// Its exit status, once it has ended.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child
            .try_wait()
            .with_context(|| format!("wait for {}", self.name))
    }

    /// Waits for its end.
    pub fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!(
                    "{} did not end within {deadline:?}:\n{}",
                    self.name,
                    self.last_words()
                );
            }
            sleep(LOOK);
        }
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            rustix::process::kill_process(self.pid, signal)
                .with_context(|| format!("kill({}, {signal:?})", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&self.child);
    }
}

/// Kills a child that still runs, and reaps it.
pub(super) fn end(child: &SharedChild) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Both fail only when it has ended and was reaped already.
    drop(child.kill());
    drop(child.wait());
}

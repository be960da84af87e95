//! Room for a test's or a command's things, all of them removed at its end.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;

use super::teardown::{Teardown, wait_if_interrupted};
use super::{Namespace, Process};

/// A directory, with a bpffs at `bpf`, and namespaces; removed when it is dropped, also on a signal.
#[derive(Debug)]
pub struct Scratch(Arc<Teardown>);

impl Scratch {
    /// Makes the directory. Leftovers of killed processes go first.
    pub fn begin() -> Result<Self> {
        Teardown::begin().map(Self)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.0.directory()
    }

    /// Makes a namespace, whose name is not taken elsewhere.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(&format!("{}-{name}", self.0.prefix()))
    }

    /// What the names of its things begin with.
    #[cfg(test)]
    pub(super) fn prefix(&self) -> &str {
        self.0.prefix()
    }

    /// Starts a process that ends before anything is removed; its log is `NAME.log` in the directory.
    pub fn start(&self, name: &str, command: &mut Command) -> Result<Process> {
        let process = Process::start(name, command, &self.directory().join(format!("{name}.log")))?;
        self.adopt(&process);
        Ok(process)
    }

    /// Has a process end before anything is removed.
    pub(super) fn adopt(&self, process: &Process) {
        self.0.adopt(process.share());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        wait_if_interrupted();
        self.0.run();
    }
}

/// Waits until a signal ends this process, after it has removed everything.
pub fn wait_for_interrupt() -> ! {
    loop {
        std::thread::park();
    }
}

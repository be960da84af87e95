//! The control plane's parts as processes.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use rustix::process::Signal;

use super::{Binaries, Place};
use crate::lab::{Process, Scratch};

/// What every part has in common.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) scratch: Arc<Scratch>,
    pub(super) directory: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) place: Place,
}

impl Parts {
    /// Starts a part.
    pub(super) fn start(&self, name: &str, flags: &[String]) -> Result<Process> {
        let mut command = self.command(self.binaries.path(name));
        command.args(flags).env("HOME", &self.directory);
        self.scratch.start(name, &mut command)
    }

    /// A command in the place's namespace, in a process group of its own; dies with the thread that starts it.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        if let Some(namespace) = &self.place.namespace {
            return namespace.command(program);
        }
        let mut command = Command::new(program);
        command.process_group(0);
        // SAFETY: between fork and exec the closure makes one plain system call; it takes no lock and
        // allocates nothing.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            });
        }
        command
    }
}

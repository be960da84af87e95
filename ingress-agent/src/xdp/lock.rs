//! One agent per run directory and per pin directory.
//!
//! Both are locked by flock(2), which the kernel releases when the process ends, however it ends. Locking the pin
//! directory itself keeps out an agent that was given the same pins and another run directory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The locks; they end with this value.
#[derive(Debug)]
pub struct Lock {
    _files: [File; 2],
}

/// Why this agent may not run.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent is running.
    #[error(
        "another agent holds {}{}; end it first, or give this one its own --run-dir and --pin-dir",
        path.display(), holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        /// What it holds.
        path: PathBuf,
        /// Its process, where it is visible from here.
        holder: Option<u32>,
    },
    /// The lock cannot be had.
    #[error("{call} {}: {cause}", path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

impl Lock {
    /// Takes both locks or none. Both directories are there; the run directory's lock is a file in it.
    pub fn take(run_dir: &Path, pin_dir: &Path) -> Result<Self, LockError> {
        let path = run_dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|cause| LockError::Io {
                call: "open",
                path: path.clone(),
                cause,
            })?;
        let run = hold(file, path)?;
        let path = pin_dir.to_owned();
        let file = File::open(&path).map_err(|cause| LockError::Io {
            call: "open",
            path: path.clone(),
            cause,
        })?;
        Ok(Self {
            _files: [run, hold(file, path)?],
        })
    }
}

/// Refuses where another agent holds either lock, and takes none.
pub fn refuse_second(run_dir: &Path, pin_dir: &Path) -> Result<(), LockError> {
    for path in [run_dir.join("lock"), pin_dir.to_owned()] {
        // What is not there, or not ours to open, is told by whoever needs it.
        if let Ok(file) = File::open(&path) {
            hold(file, path)?;
        }
    }
    Ok(())
}

fn hold(file: File, path: PathBuf) -> Result<File, LockError> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held {
            holder: holder(&file),
            path,
        }),
        Err(errno) => Err(LockError::Io {
            call: "flock",
            path,
            cause: errno.into(),
        }),
    }
}

/// Who holds the lock, by /proc/locks.
fn holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
    );
    let place = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder_in(&locks, &place)
}

/// Finds `N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF` (proc_locks(5)).
fn holder_in(locks: &str, place: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_first_s_process() {
        let dirs = [
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        ];
        let [run, pins, other] = dirs.each_ref().map(|dir| dir.path());
        let lock = Lock::take(run, pins).unwrap();
        for (run_dir, pin_dir, held) in [(run, other, run.join("lock")), (other, pins, pins.to_owned())] {
            match Lock::take(run_dir, pin_dir).unwrap_err() {
                LockError::Held { path, holder } => {
                    assert_eq!(path, held);
                    assert_eq!(holder, Some(std::process::id()));
                }
                error @ LockError::Io { .. } => panic!("{error}"),
            }
        }
        drop(lock);
        Lock::take(run, pins).unwrap();
    }

    #[test]
    fn waiting_and_other_locks_are_no_holders() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 00:1a:5 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 00:1a:5 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 00:1a:6 0 EOF\n";
        assert_eq!(holder_in(locks, "00:1a:5"), Some(8));
        assert_eq!(holder_in(locks, "00:1a:6"), None);
    }
}

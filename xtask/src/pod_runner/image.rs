//! What an image's name stands for.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// A program to run for an image's name.
#[derive(Clone, Debug)]
pub struct Image {
    /// The program and its first arguments; a container's `command` takes their place, its `args` follow.
    pub(super) entrypoint: Vec<OsString>,
    /// The files that its containers see; `None`: this machine's.
    pub(super) root: Option<PathBuf>,
}

impl Image {
    /// A program of this machine, which sees this machine's files; of its Pod's fields only the network, the arguments,
    /// the environment, the probe and the grace period are applied.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self {
            entrypoint: vec![path.into().into()],
            root: None,
        }
    }

    /// An image's unpacked files, and the path of a program of theirs. Each container has a copy as its root, and of its
    /// Pod's fields its volumes, its user and its capabilities are applied too. Its seccomp profile is not.
    pub fn root(files: impl Into<PathBuf>, program: &str) -> Self {
        Self {
            entrypoint: vec![program.into()],
            root: Some(files.into()),
        }
    }

    /// A test of the calling test program that is ignored by itself and serves until it is killed.
    pub fn test(name: &str) -> Result<Self> {
        let own = env::current_exe().context("this program's path")?;
        let arguments = ["--exact", name, "--ignored", "--nocapture"];
        Ok(Self {
            entrypoint: [own.into()]
                .into_iter()
                .chain(arguments.map(OsString::from))
                .collect(),
            root: None,
        })
    }
}

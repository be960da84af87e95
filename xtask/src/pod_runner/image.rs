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
}

impl Image {
    /// A program of this machine, which sees this machine's files; of its Pod's fields only the network, the arguments,
    /// the environment, the probe and the grace period are applied.
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self {
            entrypoint: vec![path.into().into()],
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
        })
    }
}

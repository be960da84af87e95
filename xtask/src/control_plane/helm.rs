//! Helm's program: found, or built once from source into a cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use super::binaries::{caches, go};

/// The version that is built.
const VERSION: &str = "v4.3.1";

/// A program that renders charts.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
}

impl Helm {
    /// The one that is already here: on PATH, then in the cache.
    ///
    /// # Errors
    ///
    /// When nothing says where a cache may be.
    pub fn find() -> Result<Option<Self>> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain([cache()?]);
        let mut programs = folders.map(|folder| folder.join("helm"));
        let found = programs.find(|program| program.is_file());
        Ok(found.map(|program| Self { program }))
    }

    /// The one that is already here, else built now; says so.
    ///
    /// # Errors
    ///
    /// When it cannot be built.
    pub fn find_or_build(tell: &mut dyn FnMut(&str)) -> Result<Self> {
        if let Some(found) = Self::find()? {
            return Ok(found);
        }
        let directory = cache()?;
        tell(&format!(
            "building Helm {VERSION} from source, once, into {}",
            directory.display()
        ));
        fs::create_dir_all(&directory).with_context(|| format!("mkdir {}", directory.display()))?;
        let module = format!("helm.sh/helm/v4/cmd/helm@{VERSION}");
        let status = Command::new(go(tell)?)
            .env("CGO_ENABLED", "0")
            .env("GOBIN", &directory)
            .args(["install", "-trimpath", "-ldflags", "-s -w", &module])
            .status()
            .context("start go")?;
        ensure!(status.success(), "go install {module}: {status}");
        Ok(Self {
            program: directory.join("helm"),
        })
    }

    /// A command of it that keeps its own files in a directory.
    pub fn command(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env("HOME", directory);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, directory.join(variable));
        }
        command
    }
}

fn cache() -> Result<PathBuf> {
    Ok(caches()?.join(format!("helm-{VERSION}")))
}

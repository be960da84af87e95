//! One file per command.

pub(crate) mod bench;
pub(crate) mod build_ebpf;
pub(crate) mod control_plane;
pub(crate) mod demo;
pub(crate) mod image;
mod needs;
pub(crate) mod test;
pub(crate) mod tidy;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in no workspace")
}

/// The cargo that runs us.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Cargo's target directory: this program is `TARGET_DIR/PROFILE/xtask`.
fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let folder = program
        .ancestors()
        .nth(2)
        .with_context(|| format!("{} lies in no target directory", program.display()))?;
    Ok(folder.to_owned())
}

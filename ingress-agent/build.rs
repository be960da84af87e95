//! Builds the eBPF object that the agent carries, by the recipe of `cargo xtask build-ebpf`.
//!
//! Nothing is installed here: what is missing is said in one line, with the command that installs it.

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use xtask::recipe::{self, Object, Tools};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the eBPF object: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<()> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo did not set OUT_DIR")?);
    let package =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("cargo did not set CARGO_MANIFEST_DIR")?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").context("cargo did not set CARGO_CFG_TARGET_ARCH")?;
    let root = package.parent().context("the package lies in no workspace")?;

    let tools = Tools::find()?;
    for input in recipe::inputs(root) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    for tool in [&tools.toolchain.rustc, &tools.linker.path] {
        println!("cargo::rerun-if-changed={}", tool.display());
    }

    let object = match env::var_os("CARGO_FEATURE_EBPF_LOG") {
        Some(_) => Object::Log,
        None => Object::Plain,
    };
    let built = recipe::build(&tools, object, root, target_dir(&out_dir)?, &arch)?;
    let embedded = out_dir.join("ingress-ebpf.o");
    std::fs::copy(&built, &embedded)
        .with_context(|| format!("cannot copy {} to {}", built.display(), embedded.display()))?;
    Ok(())
}

/// Cargo's target directory: `OUT_DIR` is `TARGET_DIR/PROFILE/build/PACKAGE-HASH/out`. All profiles share
/// the object's own build there.
fn target_dir(out_dir: &Path) -> Result<&Path> {
    out_dir
        .ancestors()
        .find(|folder| folder.file_name().is_some_and(|name| name == "build"))
        .and_then(|build| build.parent()?.parent())
        .with_context(|| format!("{} lies in no target directory", out_dir.display()))
}

//! Installs what the recipe lacks. Only the commands that a person runs come here; a plain
//! `cargo build` never installs anything.

use anyhow::{Context, Result};

use super::{
    PassedOver, TARGET,
    invoke::{clean, output, run, shown, which},
    linker,
};

/// Debian's packages of a compiler that ships `core` for the target.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
/// The nightly that rustup is asked for: one whose LLVM `bpf-linker` speaks to.
const NIGHTLY: &str = "nightly-2026-05-20";

/// Installs a compiler: Debian's where it has one and we may, else a rustup nightly.
pub(super) fn toolchain(passed_over: &[PassedOver], say: &mut dyn FnMut(&str)) -> Result<()> {
    say(&format!("no compiler here builds for {TARGET}:"));
    for passed in passed_over {
        say(&format!("  {passed}"));
    }
    match debian(say) {
        Ok(()) => Ok(()),
        Err(why) => {
            say(&format!("not Debian's packages: {why:#}"));
            rustup(say)
        }
    }
}

fn debian(say: &mut dyn FnMut(&str)) -> Result<()> {
    let apt = which("apt-get").context("there is no apt-get")?;
    let id = output(clean("id").arg("-u"))?;
    anyhow::ensure!(id.trim() == "0", "installing them takes root");
    if !is_offered()? {
        announce(say, clean(&apt).arg("update"))?;
        anyhow::ensure!(is_offered()?, "this system offers no {}", DEBIAN.join(", "));
    }
    let mut install = clean(&apt);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(DEBIAN);
    announce(say, &mut install)
}

/// Whether apt knows a version of each package that it could install.
fn is_offered() -> Result<bool> {
    let policy = output(clean("apt-cache").arg("policy").args(DEBIAN).env("LC_ALL", "C"))?;
    let candidates = policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "));
    Ok(candidates.filter(|candidate| *candidate != "(none)").count() == DEBIAN.len())
}

fn rustup(say: &mut dyn FnMut(&str)) -> Result<()> {
    let rustup =
        which("rustup").context("rustup is not installed; https://rustup.rs says how to install it")?;
    let mut install = clean(rustup);
    install.args([
        "toolchain",
        "install",
        NIGHTLY,
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]);
    install.arg("--no-self-update");
    announce(say, &mut install)
}

/// Installs `bpf-linker` by the cargo that runs us.
pub(super) fn linker(why: &anyhow::Error, say: &mut dyn FnMut(&str)) -> Result<()> {
    say(&format!("{why:#}"));
    let cargo = which("cargo").context("there is no cargo on PATH")?;
    let mut install = clean(cargo);
    install.args([
        "install",
        "bpf-linker",
        "--version",
        linker::VERSION,
        "--locked",
        "--force",
    ]);
    announce(say, &mut install)
}

fn announce(say: &mut dyn FnMut(&str), command: &mut std::process::Command) -> Result<()> {
    say(&format!("installing: {}", shown(command)));
    run(command)
}

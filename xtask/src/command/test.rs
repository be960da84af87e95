//! `cargo xtask test`: everything needed, then every check and every test, privileged ones included; then a
//! look at what they left behind, which must be nothing.
//!
//! Every step runs even when one before it failed; the last lines say how each went.

mod isolation;
mod leftovers;

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use xtask::control_plane::{Binaries, Helm};
use xtask::image::Program;
use xtask::recipe::Tools;

use self::leftovers::Leftovers;
use super::needs;

const AGENT: &str = "ingress-agent";
/// Its tests that mostly wait: for Leases that end, for watches that are cut. More of them run at once than there are
/// cores, apart from the others; `cargo test` leaves them out.
const APISERVER: &str = "apiserver";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only the tests whose names contain this, and nothing but tests.
    filter: Option<String>,
    /// Only the tests of this package.
    #[arg(long, short)]
    package: Option<String>,
}

impl Arguments {
    fn is_everything(&self) -> bool {
        self.filter.is_none() && self.package.is_none()
    }
}

/// How a step went.
#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Vec::new();
    let mut step = |name, work: &mut dyn FnMut() -> Result<()>| {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let result = work();
        steps.push(Step {
            name,
            took: start.elapsed(),
            result,
        });
    };

    step("what the tests need", &mut prepare);
    if arguments.is_everything() {
        step("format", &mut || cargo(&["fmt", "--all", "--check"]));
        step("tidy", &mut || super::tidy::run(&super::tidy::Arguments {}));
        step("clippy", &mut || {
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--test",
                APISERVER,
                "--locked",
                "--",
                "--deny",
                "warnings",
            ])
        });
    }
    let before = if needs::is_root() {
        isolation::begin()?;
        Some(Leftovers::now()?)
    } else {
        None
    };
    for (name, line) in tests(arguments) {
        let line: Vec<_> = line.iter().map(String::as_str).collect();
        step(name, &mut || cargo(&line));
    }
    if let Some(before) = before {
        step("nothing left behind", &mut || before.nothing_new());
    } else {
        eprintln!("\nPrivileged tests (XDP, network namespaces) did not run: they need root.");
    }
    summarize(&steps)
}

/// Installs what is missing.
fn prepare() -> Result<()> {
    let in_ci = env::var_os("CI").is_some();
    if !needs::is_root() {
        ensure!(!in_ci, "CI is set, and the privileged tests need root");
    } else {
        needs::install(needs::LAB)?;
        needs::install(needs::BGP)?;
    }
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !is_component_here(command) {
            eprintln!("installing: rustup component add {component}");
            let status = Command::new("rustup")
                .args(["component", "add", component])
                .status();
            let status =
                status.with_context(|| format!("{component} is missing, and rustup cannot be started"))?;
            ensure!(status.success(), "rustup component add {component}: {status}");
        }
    }
    Tools::find_or_install(&mut |line| eprintln!("{line}"))?;
    if needs::is_root() {
        Binaries::find_or_build(&mut |line| eprintln!("{line}"))?;
        Helm::find_or_build(&mut |line| eprintln!("{line}"))?;
        needs::install(needs::IMAGES)?;
        // Here, where its minutes are seen, and not within a test.
        Program::build("dev")?;
    }
    eprintln!("all here");
    Ok(())
}

fn is_component_here(command: &str) -> bool {
    Command::new(super::cargo())
        .args([command, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The command lines of the tests themselves.
fn tests(arguments: &Arguments) -> Vec<(&'static str, Vec<String>)> {
    let package = arguments.package.as_deref();
    let mut all = vec!["test", "--locked", "--no-fail-fast"];
    match package {
        Some(package) => all.extend(["--package", package]),
        None => all.push("--workspace"),
    }
    let filter = arguments.filter.as_deref();
    if let Some(filter) = filter {
        all.extend(["--", filter]);
    }
    let mut lines = vec![("tests", all)];
    if package.is_none_or(|package| package == AGENT) {
        let mut line = vec!["test", "--locked", "--package", AGENT, "--test", APISERVER, "--"];
        line.extend(filter);
        line.extend(["--test-threads", "4"]);
        lines.push(("tests on the API server", line));
    }
    let owned = |line: Vec<&str>| line.into_iter().map(str::to_owned).collect();
    lines
        .into_iter()
        .map(|(name, line)| (name, owned(line)))
        .collect()
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(super::cargo());
    let status = command
        .current_dir(super::root()?)
        .args(arguments)
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", arguments.join(" "));
    }
    Ok(())
}

fn summarize(steps: &[Step]) -> Result<()> {
    eprintln!();
    for Step { name, took, result } in steps {
        match result {
            Ok(()) => eprintln!("ok      {name} ({:.0} s)", took.as_secs_f64()),
            Err(error) => eprintln!("FAILED  {name} ({:.0} s): {error:#}", took.as_secs_f64()),
        }
    }
    let failed = steps.iter().filter(|step| step.result.is_err()).count();
    ensure!(failed == 0, "{failed} of {} steps failed", steps.len());
    Ok(())
}

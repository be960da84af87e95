//! The programs that the commands call, and Debian's packages of them.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
}

/// What the lab calls.
pub(crate) const LAB: &[Need] = &[
    Need {
        program: "ip",
        package: "iproute2",
    },
    Need {
        program: "bpftool",
        package: "bpftool",
    },
    Need {
        program: "curl",
        package: "curl",
    },
];

/// What the lab calls where nodes announce by BGP.
pub(crate) const BGP: &[Need] = &[Need {
    program: "bird",
    package: "bird2",
}];

/// What the L7 bench calls: the peers, the load generator, and what counts system calls.
pub(crate) const L7: &[Need] = &[
    Need {
        program: "nginx",
        package: "nginx-light",
    },
    Need {
        program: "haproxy",
        package: "haproxy",
    },
    Need {
        program: "wrk",
        package: "wrk",
    },
    Need {
        program: "h2load",
        package: "nghttp2-client",
    },
    Need {
        program: "curl",
        package: "curl",
    },
    Need {
        program: "strace",
        package: "strace",
    },
];

/// Whether this process may make namespaces and load programs.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Installs what is missing, saying so first.
///
/// # Errors
///
/// When something is missing and cannot be installed: says the command that would.
pub(crate) fn install(needs: &[Need]) -> Result<()> {
    let mut packages: Vec<_> = needs
        .iter()
        .filter(|need| !is_here(need.program))
        .map(|need| need.package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let command = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    ensure!(
        is_here("apt-get"),
        "missing here: {}; install them (on Debian: {command})",
        packages.join(", ")
    );
    ensure!(
        is_root(),
        "missing here: {}; run as root: {command}",
        packages.join(", ")
    );
    eprintln!("installing: {command}");
    apt(&["update", "--quiet"])?;
    apt(&[
        &["install", "--yes", "--quiet", "--no-install-recommends"],
        packages.as_slice(),
    ]
    .concat())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("start apt-get")?;
    if !status.success() {
        bail!("apt-get {}: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Whether a program is on PATH.
fn is_here(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

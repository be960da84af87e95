//! The one recipe of the eBPF object: `cargo xtask build-ebpf` and the agent's build script both follow it.
//!
//! The object needs a compiler with `core` for the target `bpfel-unknown-none`, and `bpf-linker` with
//! the LLVM it reads the compiler's output by. [`Tools::find`] looks for both and changes nothing;
//! [`Tools::find_or_install`] also installs what is missing, saying so first. [`build`] then runs cargo
//! in a target directory of its own, since the outer cargo holds the lock of the usual one.
//!
//! The recipe knows nothing of what is inside the object.

mod install;
mod invoke;
mod linker;
mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub use self::linker::Linker;
pub use self::toolchain::{PassedOver, Toolchain};
use self::{invoke::clean, toolchain::Search};

/// The rustc target of the object: BPF of a little-endian machine.
pub const TARGET: &str = "bpfel-unknown-none";

/// What rustc is told for every crate of the object. BTF is made from the debug information.
const RUSTFLAGS: &[&str] = &[
    "-Clinker=bpf-linker",
    "-Cdebuginfo=2",
    "-Ctarget-cpu=v3",
    "-Clink-arg=--btf",
    // Headers in a packet are not aligned, and every kernel with a JIT reads them in whole words all the
    // same. Without this, code generation reads and writes them byte by byte.
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
    "-Csplit-debuginfo=off",
];

/// The command that installs what is missing, named wherever something is.
pub const INSTALL_COMMAND: &str = "cargo xtask build-ebpf";

/// An object that the recipe can build.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Object {
    /// The programs as they ship.
    Plain,
    /// The programs with log lines at every verdict.
    Log,
    /// The entry programs of `cargo xtask bench l4`.
    Harness,
}

impl Object {
    /// The name of the binary in the package `ingress-ebpf`.
    const fn binary(self) -> &'static str {
        match self {
            Self::Plain | Self::Log => "ingress-ebpf",
            Self::Harness => "ingress-harness",
        }
    }

    /// Where it is built: the plain object and the one with log lines are one binary's two builds.
    const fn folder(self) -> &'static str {
        match self {
            Self::Plain | Self::Harness => "plain",
            Self::Log => "log",
        }
    }

    /// The cargo feature that it needs.
    const fn feature(self) -> &'static str {
        match self {
            Self::Plain => "kernel",
            Self::Log => "log",
            Self::Harness => "harness",
        }
    }
}

/// Everything that builds the object, found on this machine.
#[derive(Debug)]
pub struct Tools {
    /// The compiler taken.
    pub toolchain: Toolchain,
    /// The compilers that come before it and were not taken, with the reasons.
    pub passed_over: Vec<PassedOver>,
    /// The linker.
    pub linker: Linker,
}

impl Tools {
    /// Finds the tools that are here already.
    ///
    /// # Errors
    ///
    /// Says in one line what is missing and which command installs it.
    pub fn find() -> Result<Self> {
        let Search { found, passed_over } = toolchain::search();
        let Some(toolchain) = found else {
            bail!(
                "no compiler here builds for {TARGET} ({}): run `{INSTALL_COMMAND}`",
                reasons(&passed_over)
            );
        };
        let linker = match linker::find() {
            Ok(linker) => linker,
            Err(why) => bail!("{why:#}: run `{INSTALL_COMMAND}`"),
        };
        Ok(Self {
            toolchain,
            passed_over,
            linker,
        })
    }

    /// Finds the tools, and installs those that are missing. `say` is told what is about to be
    /// installed, and by which command.
    ///
    /// # Errors
    ///
    /// When an installation fails, or does not help.
    pub fn find_or_install(say: &mut dyn FnMut(&str)) -> Result<Self> {
        let mut search = toolchain::search();
        if search.found.is_none() {
            install::toolchain(&search.passed_over, say)?;
            search = toolchain::search();
        }
        if let Err(why) = linker::find() {
            install::linker(&why, say)?;
        }
        let Search { found, passed_over } = search;
        let Some(toolchain) = found else {
            bail!(
                "what was installed does not build for {TARGET}: {}",
                reasons(&passed_over)
            );
        };
        Ok(Self {
            toolchain,
            passed_over,
            linker: linker::find()?,
        })
    }
}

/// Builds one object and returns its path.
///
/// `root` is the workspace, `target_dir` cargo's target directory; the object's own lies in `ebpf` there.
/// `arch` is the architecture of the machine that will run it, as `std::env::consts::ARCH` names it.
///
/// # Errors
///
/// When cargo cannot be started or fails; its output went to standard error.
pub fn build(tools: &Tools, object: Object, root: &Path, target_dir: &Path, arch: &str) -> Result<PathBuf> {
    let Tools {
        toolchain, linker, ..
    } = tools;
    // The linker's version is part of the path: cargo would not link again for a new one.
    let ebpf_dir = target_dir
        .join("ebpf")
        .join(format!("bpf-linker-{}", linker.version));
    let llvm_dir = linker::provide_llvm(&toolchain.llvm, &ebpf_dir)?;
    let target_dir = ebpf_dir.join(object.folder());

    let mut cargo = clean(&toolchain.cargo);
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--release",
            "--package",
            "ingress-ebpf",
            "--target",
            TARGET,
        ])
        .args(["--bin", object.binary(), "--features", object.feature()])
        .arg("--target-dir")
        .arg(&target_dir)
        .args(toolchain.cargo_args)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(arch))
        .env("PATH", linker.path_with_it_first()?)
        .env("LD_LIBRARY_PATH", llvm_dir);
    if toolchain.bootstrap {
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    invoke::run(&mut cargo)?;

    Ok(target_dir.join(TARGET).join("release").join(object.binary()))
}

/// The files and folders an object is made of; a change of any of them asks for a new build.
pub fn inputs(root: &Path) -> Vec<PathBuf> {
    let shared = ["Cargo.toml", "Cargo.lock"].map(|file| root.join(file));
    let packages = ["ingress-common", "ingress-ebpf"].map(|package| root.join(package));
    let parts = packages
        .iter()
        .flat_map(|package| ["Cargo.toml", "build.rs", "src"].map(|part| package.join(part)));
    // A part that does not exist would ask for a new build every time.
    shared
        .into_iter()
        .chain(parts)
        .filter(|path| path.exists())
        .collect()
}

fn reasons(passed_over: &[PassedOver]) -> String {
    passed_over
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

fn rustflags(arch: &str) -> String {
    let arch = format!("--cfg=bpf_target_arch=\"{arch}\"");
    let mut flags = RUSTFLAGS.to_vec();
    flags.push(&arch);
    flags.join("\u{1f}")
}

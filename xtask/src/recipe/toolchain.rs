//! The compilers that can build the object, in the order in which they are tried.
//!
//! 1. A rustup nightly with `rust-src`, which builds `core` itself.
//! 2. A distribution's rustc that ships `core` for the target ready made, as Debian's `rustc-web` with
//!    `libstd-rust-web-dev-bpf` does.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    TARGET,
    invoke::{clean, output, which},
    linker::{self, Llvm},
};

/// Where distributions put their compiler.
const DISTRIBUTION_BIN: &str = "/usr/bin";

/// A compiler that can build the object.
#[derive(Debug)]
pub struct Toolchain {
    /// Its name and version, and why it can.
    pub description: String,
    /// The cargo that drives it.
    pub cargo: PathBuf,
    /// The compiler.
    pub rustc: PathBuf,
    /// The LLVM that reads what it writes.
    pub(super) llvm: Llvm,
    /// What cargo needs beside the usual.
    pub(super) cargo_args: &'static [&'static str],
    /// Whether the compiler must be told to act as a nightly: BPF is a target of the lowest tier.
    pub(super) bootstrap: bool,
}

/// A compiler that was not taken.
#[derive(Debug)]
pub struct PassedOver {
    /// Its name.
    pub name: String,
    /// Why it was not taken.
    pub reason: String,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, reason } = self;
        write!(f, "{name}: {reason}")
    }
}

/// What a search found.
pub(super) struct Search {
    pub(super) found: Option<Toolchain>,
    pub(super) passed_over: Vec<PassedOver>,
}

/// Looks for a compiler and stops at the first that can.
pub(super) fn search() -> Search {
    let mut passed_over = Vec::new();
    match nightlies() {
        Ok(names) if names.is_empty() => {
            passed_over.push(PassedOver {
                name: "rustup".into(),
                reason: "has no nightly".into(),
            });
        }
        Ok(names) => {
            for name in names {
                match nightly(&name) {
                    Ok(found) => {
                        return Search {
                            found: Some(found),
                            passed_over,
                        };
                    }
                    Err(reason) => passed_over.push(PassedOver {
                        name,
                        reason: format!("{reason:#}"),
                    }),
                }
            }
        }
        Err(reason) => passed_over.push(PassedOver {
            name: "rustup".into(),
            reason: format!("{reason:#}"),
        }),
    }
    match distribution(Path::new(DISTRIBUTION_BIN)) {
        Ok(found) => {
            return Search {
                found: Some(found),
                passed_over,
            };
        }
        Err(reason) => passed_over.push(PassedOver {
            name: format!("{DISTRIBUTION_BIN}/rustc"),
            reason: format!("{reason:#}"),
        }),
    }
    Search {
        found: None,
        passed_over,
    }
}

fn nightlies() -> Result<Vec<String>> {
    let rustup = which("rustup").context("is not installed")?;
    let listed = output(clean(rustup).args(["toolchain", "list"]))?;
    Ok(listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"))
        .map(ToOwned::to_owned)
        .collect())
}

fn nightly(name: &str) -> Result<Toolchain> {
    let rustup = which("rustup").context("rustup is not installed")?;
    let sysroot = output(clean(rustup).args(["run", name, "rustc", "--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let version = Version::of(&sysroot.join("bin/rustc"))?;
    let core = sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    ensure!(core.exists(), "has no `rust-src`");
    Ok(Toolchain {
        description: format!(
            "rustup's {name}, rustc {} (builds `core` from its `rust-src`)",
            version.release
        ),
        cargo: sysroot.join("bin/cargo"),
        rustc: sysroot.join("bin/rustc"),
        llvm: linker::llvm_for(&version.llvm, &sysroot)?,
        cargo_args: &["-Zbuild-std=core"],
        bootstrap: false,
    })
}

fn distribution(bin: &Path) -> Result<Toolchain> {
    let (cargo, rustc) = (bin.join("cargo"), bin.join("rustc"));
    ensure!(rustc.exists(), "is not installed");
    let version = Version::of(&rustc)?;
    let sysroot = output(clean(&rustc).args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let core = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    ensure!(core.exists(), "{} ships no `core` for {TARGET}", version.release);
    ensure!(cargo.exists(), "has no {} beside it", cargo.display());
    Ok(Toolchain {
        description: format!(
            "the distribution's {}, rustc {} (ships `core` for {TARGET})",
            rustc.display(),
            version.release
        ),
        cargo,
        rustc,
        llvm: linker::llvm_for(&version.llvm, &sysroot)?,
        cargo_args: &[],
        bootstrap: true,
    })
}

/// What `rustc -vV` says.
struct Version {
    release: String,
    llvm: String,
}

impl Version {
    fn of(rustc: &Path) -> Result<Self> {
        Self::parse(&output(clean(rustc).arg("-vV"))?).with_context(|| format!("`{} -vV`", rustc.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|it| it.trim().to_owned())
        };
        let (Some(release), Some(llvm)) = (field("release:"), field("LLVM version:")) else {
            bail!("says neither its release nor its LLVM");
        };
        Ok(Self { release, llvm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        let text =
            "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let Version { release, llvm } = Version::parse(text).unwrap();
        assert_eq!((release.as_str(), llvm.as_str()), ("1.96.0", "22.1.8"));
        assert!(Version::parse("rustc 1.96.0\n").is_err());
    }

    #[test]
    fn a_folder_without_a_compiler_says_so() {
        let empty = distribution(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(empty.to_string(), "is not installed");
    }
}

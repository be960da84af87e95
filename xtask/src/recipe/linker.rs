//! `bpf-linker`, and the LLVM it opens when it runs.
//!
//! `bpf-linker` 0.10 brings no LLVM. It opens the first library named `libLLVM*` in the folders of
//! `LD_LIBRARY_PATH`, whatever its version, so it is given a folder that holds nothing but the right one.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::invoke::{clean, output, which};

/// The version that is installed.
pub(super) const VERSION: &str = "0.10.4";
/// The oldest that will do: the ones before it write BTF that the kernel refuses (aya-rs/aya#1490).
const OLDEST: LinkerVersion = LinkerVersion(0, 10, 2);
/// The first that will not: it wants an LLVM to link with, which nobody has (aya-rs/bpf-linker 0.11).
const TOO_NEW: LinkerVersion = LinkerVersion(0, 11, 0);
/// The LLVM whose interface it speaks.
const LLVM_MAJOR: &str = "22";

/// A `bpf-linker` that will do.
#[derive(Debug)]
pub struct Linker {
    /// The program.
    pub path: PathBuf,
    /// What it says its version is.
    pub version: LinkerVersion,
}

impl Linker {
    /// A `PATH` on which rustc finds this very linker.
    pub(super) fn path_with_it_first(&self) -> Result<OsString> {
        let folder = self.path.parent().context("bpf-linker lies in no folder")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).context("PATH cannot be extended")
    }
}

/// A version of `bpf-linker`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LinkerVersion(u16, u16, u16);

impl LinkerVersion {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for LinkerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Finds a `bpf-linker` that will do, on `PATH` or where cargo installs programs.
pub(super) fn find() -> Result<Linker> {
    let path = which("bpf-linker")
        .or_else(|| {
            cargo_bin()
                .map(|bin| bin.join("bpf-linker"))
                .filter(|file| file.exists())
        })
        .context("bpf-linker is not installed")?;
    let said = output(clean(&path).arg("--version"))?;
    let version = said.strip_prefix("bpf-linker ").and_then(LinkerVersion::parse);
    let version = version.with_context(|| format!("{} says it is {:?}", path.display(), said.trim()))?;
    ensure!(
        (OLDEST..TOO_NEW).contains(&version),
        "{} is version {version}, which is not between {OLDEST} and {TOO_NEW}",
        path.display()
    );
    Ok(Linker { path, version })
}

fn cargo_bin() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))?;
    Some(home.join("bin"))
}

/// An LLVM library.
#[derive(Debug)]
pub(super) struct Llvm(PathBuf);

/// The LLVM for a compiler that was built with `version` and lies in `sysroot`: the compiler's own, so
/// that what writes the bitcode and what reads it agree.
pub(super) fn llvm_for(version: &str, sysroot: &Path) -> Result<Llvm> {
    let major = version.split('.').next().unwrap_or_default();
    ensure!(
        major == LLVM_MAJOR,
        "has LLVM {version}, and bpf-linker {VERSION} speaks to LLVM {LLVM_MAJOR}"
    );
    let arch = std::env::consts::ARCH;
    let folders = [
        sysroot.join("lib"),
        sysroot.join("lib").join(format!("{arch}-linux-gnu")),
        sysroot.join("lib64"),
        sysroot.join(format!("lib/llvm-{major}/lib")),
    ];
    for folder in &folders {
        if let Some(library) = library_in(folder) {
            return Ok(Llvm(library));
        }
    }
    bail!(
        "its libLLVM.so.{LLVM_MAJOR} is not in {}",
        folders.map(|it| it.display().to_string()).join(", ")
    )
}

/// Names are `libLLVM.so.22.1` in a distribution and `libLLVM.so.22.1-rust-1.95.0-stable` in rustup's.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?;
    let wanted = format!("libLLVM.so.{LLVM_MAJOR}.");
    let mut names: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort();
    names.into_iter().find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(&wanted))
    })
}

/// Makes a folder below `ebpf_dir` that holds this library alone.
pub(super) fn provide_llvm(Llvm(library): &Llvm, ebpf_dir: &Path) -> Result<PathBuf> {
    let name = library
        .file_name()
        .and_then(|name| name.to_str())
        .context("an LLVM library without a name")?;
    let folder = ebpf_dir.join("llvm").join(name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let link = folder.join(name);
    if std::fs::read_link(&link).is_ok_and(|target| target == *library) {
        return Ok(folder);
    }
    // A link is put in place whole: another build may be using the one that is there.
    let fresh = folder.join(format!(".{}", std::process::id()));
    std::os::unix::fs::symlink(library, &fresh)
        .with_context(|| format!("cannot make {}", fresh.display()))?;
    std::fs::rename(&fresh, &link).with_context(|| format!("cannot make {}", link.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = |text| LinkerVersion::parse(text).unwrap();
        assert!(version("0.9.15") < OLDEST);
        assert!(version("0.10.1") < OLDEST);
        assert!((OLDEST..TOO_NEW).contains(&version(VERSION)));
        assert!((OLDEST..TOO_NEW).contains(&version("0.10.12")));
        assert!(!(OLDEST..TOO_NEW).contains(&version("0.11.0")));
        assert_eq!(LinkerVersion::parse("0.10"), None);
        assert_eq!(LinkerVersion::parse("0.10.4-dev"), None);
    }

    #[test]
    fn a_compiler_with_another_llvm_is_refused_by_name() {
        let error = llvm_for("23.0.1", Path::new("/usr")).unwrap_err().to_string();
        assert!(error.contains("has LLVM 23.0.1"), "{error}");
    }
}

//! Running other programs: a clean environment, and failures that name the command.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// What a cargo that runs us leaves in the environment and what must not reach the cargo that we run:
/// the outer build's compiler, flags, wrappers and library path. Settings of the user's, such as a
/// proxy for the registry, stay.
const KEPT: &[&str] = &[
    "CARGO_HOME",
    "CARGO_BUILD_JOBS",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];
const DROPPED: &[&str] = &[
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTUP_TOOLCHAIN",
    "MAKEFLAGS",
    "LD_LIBRARY_PATH",
    // What cargo tells a build script; the object's own build scripts ask for some of these, and a build
    // with them is another than one without.
    "DEBUG",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "TARGET",
];
const DROPPED_PREFIXES: &[&str] = &["CARGO", "RUSTC_"];

/// A command for `program` that inherits nothing of an outer cargo.
pub(super) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_leftover) {
            command.env_remove(name);
        }
    }
    command
}

fn is_leftover(name: &str) -> bool {
    let kept = KEPT.iter().any(|kept| name.starts_with(kept));
    let dropped = DROPPED.contains(&name) || DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    dropped && !kept
}

/// Runs a command to its end, its output going to standard error.
pub(super) fn run(command: &mut Command) -> Result<()> {
    // Standard output belongs to whoever called: cargo reads a build script's.
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// What a command prints, when it succeeds.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first = complaint
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no message");
        bail!("`{}` ended with {}: {first}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// A command as one would type it.
pub(super) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}

/// Where a program lies on `PATH`.
pub(super) fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_cargo_is_forgotten_and_the_user_is_not() {
        for name in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO",
            "RUSTC_WRAPPER",
            "HOST",
            "RUSTC",
            "CARGO_TARGET_DIR",
            "RUSTFLAGS",
        ] {
            assert!(is_leftover(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_NET_OFFLINE",
            "PATH",
            "HOME",
            "RUSTUP_HOME",
        ] {
            assert!(!is_leftover(name), "{name}");
        }
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(clean("false").arg("--why")).unwrap_err().to_string();
        assert!(
            error.contains("`false --why` ended with exit status: 1"),
            "{error}"
        );
        let error = output(&mut clean("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("cannot start `/nonexistent`"), "{error}");
    }
}

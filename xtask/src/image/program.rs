//! The agent's program for an image: needs nothing but a kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use object::Endianness;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde_json::Value;

/// Tells rustc to link the C library statically. Random numbers are then asked of the kernel at once: the crate that
/// fetches them else looks for the C library's function at run time, where a static program has none, and takes
/// `/dev/urandom`.
const STATIC: &str = "-Ctarget-feature=+crt-static --cfg=getrandom_backend=\"linux_getrandom\"";

/// A static program.
#[derive(Debug)]
pub struct Program {
    bytes: Vec<u8>,
    architecture: &'static str,
}

impl Program {
    /// Reads a program.
    ///
    /// # Errors
    ///
    /// When it would not start in an empty root: it asks for an interpreter, the dynamic linker.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(bytes).with_context(|| path.display().to_string())
    }

    /// Takes a program's bytes; see [`Program::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(&*bytes).context("not a 64-bit ELF file")?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, &*bytes)?;
        ensure!(
            !segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP),
            "is linked dynamically, and the image has nothing that it could be linked to; build it with RUSTFLAGS={STATIC}"
        );
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => "amd64",
            EM_AARCH64 => "arm64",
            other => bail!("is for the ELF machine {other}, which no image is made for"),
        };
        Ok(Self { bytes, architecture })
    }

    /// Builds the agent in a profile of cargo's.
    ///
    /// # Errors
    ///
    /// When cargo cannot, for example where glibc's static library is not installed.
    pub fn build(profile: &str) -> Result<Self> {
        Self::read(&build(profile)?)
    }

    /// As the image format calls it.
    pub fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// This machine's usual target, linked statically: what is measured elsewhere is what ships. musl's copies of less than
/// a kilobyte, which a request makes by the hundred, take twice to four times as long as glibc's (Debian 12's of
/// both).
fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Has cargo build the agent, and says where it lies.
fn build(profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The outer cargo's, encoded, would go before these.
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let output = Command::new(cargo)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", format!("{flags} {STATIC}").trim_start())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "build",
            "--package",
            "ingress-agent",
            "--bin",
            "ingress-agent",
            "--locked",
        ])
        .args(["--target", &target(), "--profile", profile])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo build")?;
    let status = output.status;
    ensure!(
        status.success(),
        "cargo build of a static agent: {status}; it needs glibc's static library, libc.a"
    );
    let text = String::from_utf8(output.stdout).context("cargo's messages")?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter_map(|message| Some(message.get("executable")?.as_str()?.into()));
    programs.next_back().context("cargo named no program")
}

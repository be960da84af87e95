//! Our own subject, built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Builds `ingress-agent/benches/l7.rs` in the profile `dist` and says where the program lies.
pub(super) fn ours() -> Result<PathBuf> {
    let output = Command::new(crate::command::cargo())
        .current_dir(crate::command::root()?)
        .args([
            "build",
            "--profile",
            "dist",
            "--package",
            "ingress-agent",
            "--bench",
            "l7",
        ])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo build")?;
    ensure!(
        output.status.success(),
        "cargo build ended with {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).context("cargo's messages")?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut program = messages.filter_map(|message| {
        let named = message.pointer("/target/name")? == "l7";
        let program = message.get("executable")?.as_str()?;
        named.then(|| PathBuf::from(program))
    });
    program
        .next_back()
        .context("cargo named no program for the bench `l7`")
}

//! The top level: exactly these entries, and dot files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Breach;

/// What lies at the top.
const TOP: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "deploy",
    "ingress-agent",
    "ingress-common",
    "ingress-ebpf",
    "xtask",
];

/// What cargo makes, and git ignores.
const BUILT: &str = "target";

pub(super) fn check(root: &Path) -> Result<Vec<Breach>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root).with_context(|| format!("read {}", root.display()))? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(compare(&names))
}

/// What is there and should not be, and what is not there and should.
pub(super) fn compare(names: &BTreeSet<String>) -> Vec<Breach> {
    let breach = |path: &str, what: &str| Breach {
        path: path.to_owned(),
        line: 0,
        what: what.to_owned(),
    };
    let foreign = names
        .iter()
        .filter(|name| !name.starts_with('.') && *name != BUILT && !TOP.contains(&name.as_str()))
        .map(|name| breach(name, "does not belong at the top level"));
    let missing = TOP.iter().filter(|name| !names.contains(**name));
    foreign
        .chain(missing.map(|name| breach(name, "is missing at the top level")))
        .collect()
}

//! `cargo xtask tidy`: the project's rules of shape, as a test over its sources.
//!
//! In: the files git knows, or would. Out: one line per breach, naming the file, the line and the rule. One rule
//! per file; a rule reads [`Source`]s and knows nothing of the others.

mod boundary;
mod layout;
mod length;
mod name;
mod path;
mod source;
#[cfg(test)]
mod tests;
mod wording;

use std::fmt;

use anyhow::{Result, ensure};

use self::source::Source;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// A rule that is not kept.
#[derive(Debug, Eq, PartialEq)]
struct Breach {
    /// Relative to the workspace.
    path: String,
    /// Counted from 1; 0: the whole file.
    line: usize,
    what: String,
}

impl Breach {
    fn new(source: &Source, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: source.path.clone(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let root = super::root()?;
    let sources = source::all(root)?;
    let mut breaches = layout::check(root)?;
    for source in &sources {
        breaches.extend(boundary::check(source));
        breaches.extend(length::check(source));
        breaches.extend(name::check(source));
        breaches.extend(wording::check(source));
    }
    for breach in &breaches {
        eprintln!("{breach}");
    }
    ensure!(
        breaches.is_empty(),
        "tidy: {} breaches in {} files",
        breaches.len(),
        sources.len()
    );
    eprintln!("tidy: {} files keep every rule", sources.len());
    Ok(())
}

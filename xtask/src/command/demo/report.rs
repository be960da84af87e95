//! What the demo prints, and whether every claim held.
#![expect(clippy::print_stdout, reason = "this is the demo's page")]

use std::fmt::Display;
use std::time::Instant;

use anyhow::{Result, ensure};

/// The page so far.
#[derive(Debug)]
pub(super) struct Report {
    chapter: u8,
    held: u32,
    failed: u32,
    start: Instant,
}

impl Report {
    /// Begins the page; building comes next.
    pub(super) fn begin() -> Self {
        println!("ingress-agent: building the eBPF object and the agent");
        Self {
            chapter: 0,
            held: 0,
            failed: 0,
            start: Instant::now(),
        }
    }

    /// Something is ready.
    pub(super) fn done(&mut self, what: &str, text: &str, since: Instant) {
        if self.held == 0 && what == "lab" {
            self.start = since;
        }
        println!("{what:<8} {text} ({:.1} s)", since.elapsed().as_secs_f64());
    }

    /// Begins a chapter.
    pub(super) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        println!("\n{}. {title}", self.chapter);
    }

    /// Says something that was checked.
    pub(super) fn claim(&mut self, holds: bool, text: impl Display) {
        if !holds {
            xtask::lab::wait_if_interrupted();
        }
        let mark = if holds { "ok   " } else { "FALSE" };
        println!("   {mark} {text}");
        if holds {
            self.held += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Shows something that claims nothing.
    pub(super) fn show(&mut self, text: impl Display) {
        for line in text.to_string().lines() {
            println!("         {line}");
        }
    }

    /// Prints a paragraph.
    pub(super) fn say(&mut self, text: impl Display) {
        println!("{text}");
    }

    /// Ends the page.
    ///
    /// # Errors
    ///
    /// When a claim was false.
    pub(super) fn end(self) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        println!(
            "\n{} claims held, {} did not; {seconds:.0} s since the build.",
            self.held, self.failed
        );
        ensure!(
            self.failed == 0,
            "{} of the demo's claims did not hold",
            self.failed
        );
        Ok(())
    }
}

//! `cargo xtask demo`: the whole product in a lab, each claim checked as it is printed.
//!
//! Builds what is needed, starts the lab with three agents, and goes through the chapters. It decides
//! nothing about the product: a chapter asks, and the report says whether the answer was as claimed.

mod chapters;
mod explore;
mod report;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xtask::lab::{Agent, Lab};
use xtask::recipe::Tools;

use self::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Stays up until Ctrl-C, and says what to try meanwhile.
    #[arg(long)]
    keep: bool,
}

/// The lab and its agents; agents are dropped, and so ended, first.
#[derive(Debug)]
struct Stage {
    agents: Vec<Agent>,
    lab: Lab,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        super::needs::is_root(),
        "the demo makes network namespaces and loads XDP programs: run it as root"
    );
    super::needs::install(super::needs::LAB)?;
    let mut report = Report::begin();
    let agent = build()?;

    let start = Instant::now();
    let lab = Lab::builder(agent)
        .nodes(3)
        .pods(4)
        .build()
        .context("the lab could not be built")?;
    report.done(
        "lab",
        "a client, a router, 3 nodes, 4 pods, IPv4 and IPv6, MTU 1500",
        start,
    );
    let start = Instant::now();
    let agents = lab.spawn_agents().context("the agents did not start")?;
    report.done("agents", "3 serving, each on driver-mode XDP", start);

    let mut stage = Stage { agents, lab };
    for (title, chapter) in chapters::ALL {
        report.chapter(title);
        if let Err(error) = chapter(&mut stage, &mut report) {
            report.claim(false, format!("{error:#}"));
        }
    }
    explore::print(&stage, arguments.keep, &mut report);
    if arguments.keep {
        xtask::lab::wait_for_interrupt();
    }
    report.end()
}

/// Builds the object and the agent; cargo shows its progress.
fn build() -> Result<PathBuf> {
    Tools::find_or_install(&mut |line| eprintln!("{line}"))?;
    let target = super::target_dir()?;
    let status = Command::new(super::cargo())
        .current_dir(super::root()?)
        .args(["build", "--locked", "--package", "ingress-agent", "--target-dir"])
        .arg(&target)
        .status()
        .context("start cargo")?;
    ensure!(status.success(), "the agent could not be built: {status}");
    Ok(target.join("debug/ingress-agent"))
}

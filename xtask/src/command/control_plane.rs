//! `cargo xtask control-plane`: a real API server to try things against, until Ctrl-C.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use xtask::control_plane::{Binaries, KUBERNETES, Place, Plane};
use xtask::lab::Scratch;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only builds the programs where they are missing.
    #[arg(long)]
    build_only: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}"))?;
    if arguments.build_only {
        return Ok(());
    }
    let scratch = Arc::new(Scratch::begin()?);
    let plane = Plane::start(&scratch, binaries, Place::default(), false)
        .context("the control plane did not start")?;
    eprintln!(
        "Kubernetes {KUBERNETES} at https://{}\n\n  export KUBECONFIG={}\n\nCtrl-C ends it and removes its files.",
        plane.api(),
        plane.kubeconfig().display()
    );
    xtask::lab::wait_for_interrupt()
}

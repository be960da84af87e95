//! `cargo xtask image`: the agent's container image.

use std::path::PathBuf;

use anyhow::Result;
use xtask::image::{Image, NAME, Program, TAG, unpack};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The OCI archive to write [default: ingress-agent.tar in cargo's target directory].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Takes this static program instead of building the agent.
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    program: Option<PathBuf>,
    /// The cargo profile that the agent is built in.
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Also unpacks the image into this folder, the root that a container of it has.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[expect(
    clippy::print_stdout,
    reason = "this command prints what it made and what to do with it"
)]
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let program = match &arguments.program {
        Some(path) => Program::read(path)?,
        None => Program::build(&arguments.profile)?,
    };
    let image = Image::new(&program)?;
    let file = match &arguments.output {
        Some(file) => file.clone(),
        None => super::target_dir()?.join("ingress-agent.tar"),
    };
    image.write(&file)?;
    if let Some(root) = &arguments.root {
        unpack(&program, root)?;
    }
    let (shown, digest) = (file.display(), image.digest());
    println!(
        "{NAME}:{TAG}  linux/{}  {:.1} MB  {digest}\n{shown}\n\n\
         to a registry:  skopeo copy oci-archive:{shown} docker://REGISTRY/ingress-agent:{TAG}\n\
         to this node:   ctr --namespace k8s.io images import {shown}",
        program.architecture(),
        image.size() as f64 / 1e6,
    );
    Ok(())
}

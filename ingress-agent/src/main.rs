//! The agent's program: reads the command line and hands over.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use ingress_agent::app;
use ingress_agent::check::{self, Outcome};
use ingress_agent::config::{Cli, Command, RunArgs};
use ingress_agent::{telemetry, xdp};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(args) => run(*args)?,
        Command::Check(args) => {
            return Ok(match check::run(&args.folder, &mut io::stdout().lock())? {
                Outcome::Passed => ExitCode::SUCCESS,
                Outcome::Refused => ExitCode::FAILURE,
            });
        }
        Command::Maps(args) => {
            let description = xdp::describe::describe(&args.pins.pin_dir)?;
            write!(io::stdout(), "{description}").context("standard output")?;
        }
        Command::Unload(args) => {
            let unloaded = runtime()?.block_on(xdp::unload::unload(&args.run_dir, &args.pins.pin_dir))?;
            write!(io::stdout(), "{unloaded}").context("standard output")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One thread for all control work: the request path has threads of its own.
fn run(args: RunArgs) -> Result<()> {
    let logs = telemetry::start(&args.log)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok()
        .context("a TLS provider is installed already")?;
    Ok(runtime()?.block_on(app::run(args, &logs))?)
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")
}

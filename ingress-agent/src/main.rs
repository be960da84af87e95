//! The agent's program: reads the command line and hands over.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use ingress_agent::app;
use ingress_agent::check::{self, Options, Outcome};
use ingress_agent::config::{CheckArgs, Cli, Command, ExplainArgs, Line, RunArgs, StatusArgs};
use ingress_agent::{memory, telemetry, xdp};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::Allocator;

fn main() -> ExitCode {
    memory::give_back();
    match command(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            _ = writeln!(io::stderr(), "error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, each said once: many errors say their cause themselves.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(args) => run(*args, Line::new(std::env::args_os()))?,
        Command::Check(args) => return Ok(check(&args)),
        Command::Explain(args) => return explain(*args),
        Command::Status(args) => return status(&args),
        Command::Maps(args) => {
            let description = xdp::describe::describe(&args.pins.pin_dir)?;
            write!(io::stdout(), "{description}").context("standard output")?;
        }
        Command::Probe(args) => runtime()?.block_on(app::probe(args.probe, &args.run_dir))?,
        Command::Completions(args) => args.write(&mut io::stdout()).context("standard output")?,
        Command::Man(args) => {
            let folder = args.folder.display().to_string();
            args.write()
                .with_context(|| format!("manual pages in {folder}"))?;
        }
        Command::Unload(args) => runtime()?.block_on(app::take_down(&args, &mut io::stdout()))?,
        Command::Crd => app::write_crd(&mut io::stdout().lock())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Exit status 2 where no verdict comes, as for a wrong command line.
fn check(args: &CheckArgs) -> ExitCode {
    let options = Options {
        json: args.json,
        strict: args.strict,
        controllers: args.take_over.controllers(),
    };
    match check::run(&args.folder, options, &mut io::stdout().lock()) {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Exit status 2 where there is no explanation.
fn explain(args: ExplainArgs) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    Ok(match runtime()?.block_on(app::explain_request(args, &mut out)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    })
}

/// Exit status 2 where no agent answers.
fn status(args: &StatusArgs) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    Ok(match runtime()?.block_on(app::write_status(args, &mut out)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    })
}

/// One thread for all control work: the request path has threads of its own.
fn run(args: RunArgs, line: Line) -> Result<()> {
    let logs = telemetry::start(&args.log).context("start the log's threads")?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok()
        .context("a TLS provider is installed already")?;
    Ok(runtime()?.block_on(app::run(args, line, &logs))?)
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start tokio")
}

//! The project's own commands.

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures, and holds the figures against the project's marks.
    Bench(command::bench::Arguments),
    /// Builds the eBPF object with any toolchain that can; installs one when there is none.
    BuildEbpf(command::build_ebpf::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Bench(arguments) => command::bench::run(&arguments),
        Command::BuildEbpf(arguments) => command::build_ebpf::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! The project's own commands.

mod command;

use std::process::ExitCode;

use anyhow::Result;
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
    /// Starts a real etcd, API server and controller manager to try things against; builds them once.
    ControlPlane(command::control_plane::Arguments),
    /// Shows the whole product in a lab of network namespaces, by real requests; checks what it says.
    Demo(command::demo::Arguments),
    /// Writes the agent's container image, from scratch, as an OCI archive.
    Image(command::image::Arguments),
    /// Everything needed, then every check and every test; a filter takes only some.
    Test(command::test::Arguments),
    /// Checks the project's rules of shape: boundaries, file lengths, names.
    Tidy(command::tidy::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Bench(arguments) => command::bench::run(&arguments),
        Command::BuildEbpf(arguments) => command::build_ebpf::run(&arguments),
        Command::ControlPlane(arguments) => command::control_plane::run(&arguments),
        Command::Demo(arguments) => command::demo::run(&arguments),
        Command::Image(arguments) => command::image::run(&arguments),
        Command::Test(arguments) => command::test::run(&arguments),
        Command::Tidy(arguments) => command::tidy::run(&arguments),
    }
}

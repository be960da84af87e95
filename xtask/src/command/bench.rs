//! `cargo xtask bench`: the figures of the project's marks.

mod control;
mod l4;
mod l7;
mod rows;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// What an edit among 10,000 Ingresses costs, memory, and a route's lookup.
    Control(control::Arguments),
    /// Nanoseconds per packet of the eBPF programs, by BPF_PROG_TEST_RUN. Needs root.
    L4(l4::Arguments),
    /// CPU per request and its like of the L7 path, beside nginx and HAProxy. Needs two cores.
    L7(l7::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.bench {
        Bench::Control(arguments) => control::run(arguments),
        Bench::L4(arguments) => l4::run(arguments),
        Bench::L7(arguments) => l7::run(arguments),
    }
}

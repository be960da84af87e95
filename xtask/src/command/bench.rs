//! `cargo xtask bench`: the figures of the project's marks.

mod l4;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, clap::Subcommand)]
enum Bench {
    /// Nanoseconds per packet of the eBPF programs, by BPF_PROG_TEST_RUN. Needs root.
    L4(l4::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.bench {
        Bench::L4(arguments) => l4::run(arguments),
    }
}

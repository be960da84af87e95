//! `cargo xtask bench control`: runs the agent's own bench, `ingress-agent/benches/control` or, on a real API server,
//! `ingress-agent/benches/api`, built as it is shipped (profile `dist`), and prints its rows.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::rows::{self, Row};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Edits of each kind, 1,000 at most; the median and the 99th percentile are over them.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// On a real API server: cold starts, edits from the PATCH's answer on, first addresses, idle agents. Needs root.
    #[arg(long)]
    api: bool,
    /// Of that, how long 10,000 Ingresses wait for their first addresses, and nothing else.
    #[arg(long, requires = "api")]
    addresses: bool,
    /// Prints JSON rows {case, peer, metric, value, unit, rounds} in place of the table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let output = Command::new(crate::command::cargo())
        .current_dir(crate::command::root()?)
        .args([
            "bench",
            "--profile",
            "dist",
            "--package",
            "ingress-agent",
            "--bench",
            if arguments.api { "api" } else { "control" },
            "--",
        ])
        .args(["--rounds", &arguments.rounds.to_string()])
        .args(arguments.addresses.then_some("--addresses"))
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo bench")?;
    ensure!(output.status.success(), "the bench ended with {}", output.status);
    let printed: Vec<Value> = serde_json::from_slice(&output.stdout).context("the bench's rows")?;
    let rows: Vec<Row> = printed.iter().map(Row::parse).collect::<Result<_>>()?;
    rows::print(&rows, arguments.json)
}

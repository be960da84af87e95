//! The flags of a probe.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RUN_DIR;

/// Flags of `probe`.
#[derive(Args, Debug)]
pub struct ProbeArgs {
    /// What is asked.
    #[arg(value_name = "WHAT")]
    pub probe: Probe,

    /// Where the agent that is asked has its admin socket: its --run-dir.
    #[arg(long, env = "INGRESS_AGENT_RUN_DIR", value_name = "DIR", default_value = RUN_DIR)]
    pub run_dir: PathBuf,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Probe {
    /// Whether its threads still turn; if not, it is to be started again.
    Livez,
    /// Whether it serves, so that its neighbour may be updated.
    Readyz,
}

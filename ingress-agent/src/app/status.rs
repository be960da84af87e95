//! `ingress-agent status`: asks the agent that runs here, and writes the answer.

use std::io::{self, Write};

use super::ask::{AskError, ask};
use crate::admin;
use crate::config::StatusArgs;
use crate::status::{State, Status};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody answers.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It cannot be written.
    #[error("cannot write the status: {0}")]
    Write(#[from] io::Error),
}

/// Writes what the agent says of itself. `true`: it serves.
pub async fn write_status(args: &StatusArgs, out: &mut impl Write) -> Result<bool, StatusError> {
    let status: Status = ask(&args.run_dir.join(admin::SOCKET), "/debug/status").await?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &status).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{status}")?;
    }
    Ok(status.state == State::Serving)
}

//! A question to the agent that runs here whose answer is a value.

use std::path::{Path, PathBuf};

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::admin;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers.
    #[error(transparent)]
    Silent(#[from] admin::AskError),
    /// The agent's answer is none.
    #[error("the agent at {} did not answer as one of this version does: {why}", run_dir.display())]
    Broken {
        /// Its run directory.
        run_dir: PathBuf,
        /// What came.
        why: serde_json::Error,
    },
    /// The agent does not know.
    #[error("the agent at {} answered {status}: {why}", run_dir.display())]
    Refused {
        /// Its run directory.
        run_dir: PathBuf,
        /// The status.
        status: StatusCode,
        /// The reason.
        why: String,
    },
}

/// What the agent that keeps its files in a run directory answers to a path, from JSON.
pub(super) async fn ask<T: DeserializeOwned>(run_dir: &Path, path: &str) -> Result<T, AskError> {
    let (status, body) = admin::ask(run_dir, path).await?;
    let run_dir = || run_dir.to_owned();
    if status != StatusCode::OK {
        return Err(AskError::Refused {
            run_dir: run_dir(),
            status,
            why: String::from_utf8_lossy(&body).trim_end().to_owned(),
        });
    }
    serde_json::from_slice(&body).map_err(|why| AskError::Broken {
        run_dir: run_dir(),
        why,
    })
}

//! The log: `tracing` events on standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogArgs, LogFormat};

/// The filter could not be read.
#[derive(Debug, thiserror::Error)]
#[error("--log {filter:?}: {source}; expected e.g. `info`, `debug` or `info,access=off`")]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Starts logging for the whole process. Call once.
pub fn start(args: &LogArgs) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(&args.log).map_err(|source| FilterError {
        filter: args.log.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

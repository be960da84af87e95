//! The log on standard error, as text or JSON, and the access log on standard output.
//!
//! Both are `tracing` events; those of target `access` go to the access log alone. Neither ever makes a worker wait:
//! what finds its queue full is dropped and counted.

mod access;
mod lossy;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use self::access::AccessFormat;
use self::access::AccessLog;
use self::lossy::Lossy;
use crate::config::{LogArgs, LogFormat};

/// How long the process's end waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter could not be read.
    #[error("--log {filter:?}: {source}; expected e.g. `info`, `debug` or `info,access=off`")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is no thread to write it.
    #[error("start the log's thread: {0}")]
    Thread(#[from] io::Error),
}

/// The running logs; dropping it waits a moment for their last lines.
#[derive(Debug)]
pub struct Logs {
    /// Lines that were dropped.
    pub dropped: Arc<AtomicU64>,
    queues: [Lossy; 2],
}

impl Drop for Logs {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.flush(LAST_LINES);
        }
    }
}

/// Starts logging for the whole process. Call once.
pub fn start(args: &LogArgs) -> Result<Logs, LogError> {
    let filter = EnvFilter::try_new(&args.log).map_err(|source| LogError::Filter {
        filter: args.log.clone(),
        source,
    })?;
    let dropped = Arc::default();
    let log = Lossy::start("log", io::stderr(), &dropped)?;
    let access = Lossy::start("access-log", io::stdout(), &dropped)?;
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || writer.clone());
    let layer = match args.log_format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().boxed(),
    };
    let access_log = (args.access_log_format != AccessFormat::Off).then(|| {
        let layer = AccessLog {
            format: args.access_log_format.clone(),
            out: access.clone(),
        };
        layer.with_filter(filter_fn(|event| event.target() == "access"))
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(layer.with_filter(filter_fn(|event| event.target() != "access")))
        .with(access_log)
        .init();
    Ok(Logs {
        dropped,
        queues: [log, access],
    })
}

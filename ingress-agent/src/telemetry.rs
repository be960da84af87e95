//! The log on standard error, as text or JSON, and the access log on standard output.
//!
//! Both are `tracing` events; those of target `access` go to the access log alone. Neither ever makes a worker wait:
//! what finds its queue full is dropped and counted.

mod access;
mod filter;
mod layout;
mod lossy;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::access::AccessFormat;
use self::access::AccessLog;
pub use self::filter::Filter;
use self::filter::InForce;
use self::layout::Layout;
use self::lossy::Lossy;
use crate::config::LogArgs;

/// How long the process's end waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The running logs; dropping it waits a moment for their last lines.
#[derive(Debug)]
pub struct Logs {
    /// Lines that were dropped.
    pub dropped: Arc<AtomicU64>,
    queues: [Lossy; 2],
    filter: InForce,
    layout: Layout,
    access_format: Arc<ArcSwap<AccessFormat>>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        for queue in &self.queues {
            queue.flush(LAST_LINES);
        }
    }
}

/// Starts logging for the whole process. Call once. An error: there is no thread to write it.
pub fn start(args: &LogArgs) -> io::Result<Logs> {
    let dropped = Arc::default();
    let log = Lossy::start("log", io::stderr(), &dropped)?;
    let access = Lossy::start("access-log", io::stdout(), &dropped)?;
    let logs = Logs {
        dropped,
        queues: [log.clone(), access.clone()],
        filter: InForce::new(&args.log),
        layout: Layout::new(args.log_format),
        access_format: Arc::new(ArcSwap::from_pointee(args.access_log_format.clone())),
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || log.clone())
        .event_format(logs.layout.clone());
    let access_log = AccessLog {
        format: Arc::clone(&logs.access_format),
        out: access,
    };
    let access_format = Arc::clone(&logs.access_format);
    let is_access =
        filter_fn(move |event| event.target() == "access" && **access_format.load() != AccessFormat::Off);
    tracing_subscriber::registry()
        .with(logs.filter.clone())
        .with(layer.with_filter(filter_fn(|event| event.target() != "access")))
        .with(access_log.with_filter(is_access))
        .init();
    Ok(logs)
}

impl Logs {
    /// Logs from now on as these say.
    pub fn set(&self, args: &LogArgs) {
        self.filter.set(&args.log);
        self.layout.set(args.log_format);
        self.access_format.store(Arc::new(args.access_log_format.clone()));
        // What each callsite was told holds until it is asked again.
        tracing::callsite::rebuild_interest_cache();
    }
}

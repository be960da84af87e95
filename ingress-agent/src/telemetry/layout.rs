//! How a line of the log is laid out, which may be another while the program runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// The layout in force, shared by its clones. `true`: JSON.
#[derive(Clone, Debug)]
pub(super) struct Layout(Arc<AtomicBool>);

impl Layout {
    pub(super) fn new(format: LogFormat) -> Self {
        Self(Arc::new(AtomicBool::new(format == LogFormat::Json)))
    }

    pub(super) fn set(&self, format: LogFormat) {
        self.0.store(format == LogFormat::Json, Relaxed);
    }
}

impl<S, N> FormatEvent<S, N> for Layout
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.0.load(Relaxed) {
            Format::default().json().format_event(context, writer, event)
        } else {
            Format::default().format_event(context, writer, event)
        }
    }
}

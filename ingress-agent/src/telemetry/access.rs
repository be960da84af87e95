//! Access events as lines: JSON, or a text with ingress-nginx's `$variables`.
//!
//! In: the fields of an event of target `access`. Out: one line, of which no byte that a client chose can make two:
//! values are escaped as nginx does by default (`"`, `\` and all that is not printable ASCII as `\xHH`).

mod format;

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::lossy::Lossy;

pub use self::format::AccessFormat;

/// The field with the header fields that the format at a request's begin named.
const CAPTURED: &str = "captured";

/// Writes access events.
#[derive(Debug)]
pub(super) struct AccessLog {
    /// As it is now.
    pub(super) format: Arc<ArcSwap<AccessFormat>>,
    pub(super) out: Lossy,
}

impl<S: Subscriber> Layer<S> for AccessLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = String::with_capacity(256);
        self.format.load().write(&fields, SystemTime::now(), &mut line);
        line.push('\n');
        // Never fails: what finds no room is counted.
        _ = self.out.clone().write_all(line.as_bytes());
    }
}

/// An event's fields.
#[derive(Debug, Default)]
struct Fields(serde_json::Map<String, Value>);

impl Fields {
    /// A field as text; `None`: it is absent.
    fn text(&self, name: &str) -> Option<String> {
        let value = self.0.get(name)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing to a String does not fail.
        _ = write!(text, "{value:?}");
        self.0.insert(field.name().to_owned(), text.into());
    }
}

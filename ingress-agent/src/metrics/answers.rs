//! When the API server was last heard.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Writer, since_1970};

/// How long ago it was heard, by kind.
#[derive(Debug)]
pub(super) struct Answers(pub(super) BTreeMap<&'static str, Option<Duration>>);

impl Collector for Answers {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = SystemTime::now();
        let at = |ago: Option<Duration>| ago.and_then(|ago| now.checked_sub(ago)).map_or(0, since_1970);
        Writer(encoder).gauges(
            "source_answered_timestamp_seconds",
            "When the API server last answered about a kind, since 1970; 0: not yet",
            self.0.iter().map(|(kind, ago)| ([("kind", *kind)], at(*ago))),
        )
    }
}

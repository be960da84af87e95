//! What the control thread counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::Writer;

/// Upper bounds of the durations' buckets, in microseconds.
const BOUNDS: [u64; 10] = [
    100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000,
];

/// The control thread's counters.
#[derive(Debug, Default)]
pub struct Control {
    /// Snapshots that were translated.
    pub snapshots: AtomicU64,
    /// Models that came into effect.
    pub applied: AtomicU64,
    /// Models that did not, or not wholly.
    pub failed: AtomicU64,
    /// How long translating took.
    pub translate: Seconds,
    /// Findings of the last snapshot: works, but.
    pub degraded: AtomicU64,
    /// Findings of the last snapshot: refused.
    pub refused: AtomicU64,
    /// Lines that the logs lost.
    pub dropped: Arc<AtomicU64>,
    /// Listeners of the last model.
    pub listeners: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Seconds {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Seconds {
    /// Adds one.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound);
        if let Some(bucket) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }
}

impl Collector for Control {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        let get = |count: &AtomicU64| count.load(Relaxed);
        writer.counter(
            "snapshots",
            "Snapshots of the source that were translated into a model",
            get(&self.snapshots),
        )?;
        writer.counters(
            "models",
            "Models by whether they came into effect wholly",
            [
                ([("result", "applied")], get(&self.applied)),
                ([("result", "failed")], get(&self.failed)),
            ],
        )?;
        writer.gauges(
            "findings",
            "What the last snapshot's authors should know, by verdict",
            [
                ([("verdict", "degraded")], get(&self.degraded)),
                ([("verdict", "refused")], get(&self.refused)),
            ],
        )?;
        writer.counter(
            "log_lines_dropped",
            "Lines that a log had no room for",
            get(&self.dropped),
        )?;
        writer.gauge("listeners", "Listeners of the last model", get(&self.listeners))?;
        let buckets = BOUNDS.iter().zip(&self.translate.buckets);
        let buckets: Vec<_> = buckets
            .map(|(bound, count)| (in_seconds(*bound), get(count)))
            .collect();
        let sum = in_seconds(get(&self.translate.micros));
        writer
            .seconds("translate_duration", "From a snapshot to a model")?
            .encode_histogram::<NoLabelSet>(
                sum,
                get(&self.translate.count),
                &with_rest(buckets, get(&self.translate.count)),
                None,
            )
    }
}

/// Microseconds as seconds.
pub(super) fn in_seconds(micros: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum of durations is exact up to 285 years"
    )]
    let micros = micros as f64;
    micros / 1e6
}

/// The buckets and one for all that is longer, which the format asks for.
pub(super) fn with_rest(mut buckets: Vec<(f64, u64)>, count: u64) -> Vec<(f64, u64)> {
    let within: u64 = buckets.iter().map(|(_, count)| count).sum();
    buckets.push((f64::INFINITY, count.saturating_sub(within)));
    buckets
}

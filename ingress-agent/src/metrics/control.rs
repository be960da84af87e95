//! What the control thread counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::{Inventory, Writer};

/// Upper bounds of the durations' buckets, in microseconds.
const BOUNDS: [u64; 10] = [
    100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000,
];

/// The control thread's counters.
#[derive(Debug)]
pub struct Control {
    /// When the process started.
    pub started: SystemTime,
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
    /// The keys of the agents' ConfigMap.
    pub config_keys: ArcSwap<ConfigKeys>,
    /// Lines that the logs lost.
    pub dropped: Arc<AtomicU64>,
    /// Listeners of the last model.
    pub listeners: AtomicU64,
    /// When the source last changed, in seconds since 1970; 0: it has not told anything yet.
    pub changed_at: AtomicU64,
    /// When a model last came into effect wholly, likewise.
    pub applied_at: AtomicU64,
    /// What the last snapshot held.
    pub inventory: ArcSwap<Inventory>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            started: SystemTime::now(),
            snapshots: AtomicU64::default(),
            applied: AtomicU64::default(),
            failed: AtomicU64::default(),
            translate: Seconds::default(),
            degraded: AtomicU64::default(),
            refused: AtomicU64::default(),
            config_keys: ArcSwap::default(),
            dropped: Arc::default(),
            listeners: AtomicU64::default(),
            changed_at: AtomicU64::default(),
            applied_at: AtomicU64::default(),
            inventory: ArcSwap::default(),
        }
    }
}

/// The keys of the agents' ConfigMap, by what came of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigKeys {
    /// They have their effect.
    pub in_effect: u64,
    /// A flag or its variable wins.
    pub overruled: u64,
    /// They wait for the agent's next start.
    pub waiting: u64,
    /// They are of no use as they stand.
    pub refused: u64,
}

/// A moment as seconds since 1970.
pub(crate) fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
        let keys = self.config_keys.load();
        writer.gauges(
            "config_keys",
            "Keys of the agents' ConfigMap, by what came of them",
            [
                ([("outcome", "in_effect")], keys.in_effect),
                ([("outcome", "overruled")], keys.overruled),
                ([("outcome", "waiting")], keys.waiting),
                ([("outcome", "refused")], keys.refused),
            ],
        )?;
        writer.counter(
            "log_lines_dropped",
            "Lines that a log had no room for",
            get(&self.dropped),
        )?;
        writer.gauge("listeners", "Listeners of the last model", get(&self.listeners))?;
        writer.gauge(
            "source_changed_timestamp_seconds",
            "When the source last told a change, since 1970; 0: not yet",
            get(&self.changed_at),
        )?;
        writer.gauge(
            "model_applied_timestamp_seconds",
            "When a model last came into effect wholly, since 1970; 0: not yet",
            get(&self.applied_at),
        )?;
        let inventory = self.inventory.load();
        let objects = inventory.objects.iter();
        writer.gauges(
            "objects",
            "Objects of the source, by kind",
            objects.map(|(kind, count)| ([("kind", *kind)], *count)),
        )?;
        let certificates = inventory.certificates.iter().map(|([namespace, secret], until)| {
            ([("namespace", &**namespace), ("secret", &**secret)], *until)
        });
        writer.gauges(
            "certificate_not_after_seconds",
            "When the certificate of a Secret ends, since 1970",
            certificates,
        )?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        writer.gauges(
            "build_info",
            "Always 1; the label says what runs",
            [(version, 1_u64)],
        )?;
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

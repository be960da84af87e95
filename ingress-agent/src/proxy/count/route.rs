//! The requests of one route, on one worker.

use std::sync::atomic::AtomicU64;

use http::Method;

use super::{CAUSES, Cause, add};

/// The methods that are told apart; the last stands for all others.
pub const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
/// The classes of statuses.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds of the durations' buckets, in microseconds: ingress-nginx's, from 5 ms to 10 s, and 1 ms.
pub const BOUNDS_MICROS: [u64; 12] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Outcome<'a> {
    pub(in crate::proxy) method: MethodLabel,
    pub(in crate::proxy) status: u16,
    pub(in crate::proxy) micros: u64,
    /// Of the answer's body.
    pub(in crate::proxy) bytes: u64,
    /// Why tries failed that others followed.
    pub(in crate::proxy) retried: &'a [Cause],
    /// Why the last one failed, if it did.
    pub(in crate::proxy) failed: Option<Cause>,
}

/// A method's place among [`METHODS`].
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct MethodLabel(usize);

impl MethodLabel {
    /// Of a request of which nothing is believed.
    pub(in crate::proxy) const OTHER: Self = Self(METHODS.len() - 1);

    pub(in crate::proxy) fn of(method: &Method) -> Self {
        let known = METHODS.iter().position(|known| *known == method.as_str());
        known.map_or(Self::OTHER, Self)
    }
}

/// The counters of one route.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// By method, as in [`METHODS`], and class of the status, as in [`CLASSES`].
    pub requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    /// Durations by bucket, as in [`BOUNDS_MICROS`]; longer ones are in `micros` and `requests` alone.
    pub buckets: [AtomicU64; BOUNDS_MICROS.len()],
    /// Their sum, in microseconds.
    pub micros: AtomicU64,
    /// Bytes of the answers' bodies.
    pub bytes: AtomicU64,
    /// Tries after a request's first, by why the one before failed, as in [`CAUSES`].
    pub retries: [AtomicU64; CAUSES.len()],
    /// Tries that failed, each request's last one included, by why.
    pub failures: [AtomicU64; CAUSES.len()],
}

impl RouteCounts {
    pub(super) fn add(&self, outcome: &Outcome<'_>) {
        let class = usize::from(outcome.status / 100).saturating_sub(1);
        let of_method = self.requests.get(outcome.method.0);
        if let Some(count) = of_method.and_then(|classes| classes.get(class)) {
            add(count, 1);
        }
        let bucket = BOUNDS_MICROS.iter().position(|bound| outcome.micros <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            add(count, 1);
        }
        add(&self.micros, outcome.micros);
        add(&self.bytes, outcome.bytes);
        for cause in outcome.retried {
            add_one(&self.retries, *cause);
        }
        for cause in outcome.retried.iter().chain(&outcome.failed) {
            add_one(&self.failures, *cause);
        }
    }
}

fn add_one(counts: &[AtomicU64; CAUSES.len()], cause: Cause) {
    if let Some(count) = counts.get(cause.index()) {
        add(count, 1);
    }
}

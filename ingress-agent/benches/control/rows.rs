//! Figures as JSON rows.

use std::time::Duration;

use serde_json::{Value, json};

/// One figure of ours.
pub(crate) fn row(case: &str, metric: &str, value: f64, unit: &str, rounds: usize) -> Value {
    json!({ "case": case, "peer": "ours", "metric": metric, "value": value, "unit": unit, "rounds": rounds })
}

/// Median, 99th percentile and least of some times, in milliseconds.
pub(crate) fn rows_of(case: &str, mut times: Vec<Duration>) -> Vec<Value> {
    times.sort();
    let at = |share: usize| {
        let index = (times.len() * share / 100).min(times.len() - 1);
        times[index].as_secs_f64() * 1e3
    };
    let figures = [("p50", at(50)), ("p99", at(99)), ("min", at(0))];
    let row = |(metric, value)| row(case, metric, value, "ms", times.len());
    figures.into_iter().map(row).collect()
}

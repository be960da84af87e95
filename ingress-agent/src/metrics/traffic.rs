//! What the workers count, summed over them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::Writer;
use super::control::{in_seconds, with_rest};
use crate::proxy::{BOUNDS_MICROS, CLASSES, Counts, Labels, METHODS, Proxy, RouteCounts};

/// The workers' counters.
#[derive(Debug)]
pub(super) struct Traffic {
    workers: Vec<Arc<Counts>>,
    /// Every worker's counters of a route.
    routes: BTreeMap<Labels, Vec<Arc<RouteCounts>>>,
}

impl Traffic {
    pub(super) fn of(proxy: &Proxy) -> Self {
        let workers = proxy.counts().to_vec();
        let mut routes: BTreeMap<Labels, Vec<_>> = BTreeMap::new();
        for (labels, counts) in workers.iter().flat_map(|worker| worker.series()) {
            routes.entry(labels).or_default().push(counts);
        }
        Self { workers, routes }
    }

    fn sum(&self, count: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        self.workers
            .iter()
            .map(|worker| count(worker).load(Relaxed))
            .sum()
    }

    /// One number per route.
    fn of_routes(&self, count: impl Fn(&RouteCounts) -> &AtomicU64) -> Vec<([(&str, &str); 3], u64)> {
        let routes = self.routes.iter();
        routes
            .map(|(labels, counts)| (pairs(labels), sum(counts, &count)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn requests(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut series = Vec::new();
        for (labels, counts) in &self.routes {
            for (m, method) in METHODS.iter().enumerate() {
                for (c, class) in CLASSES.iter().enumerate() {
                    let cell = |counts: &RouteCounts| {
                        let cell = counts.requests.get(m).and_then(|classes| classes.get(c));
                        cell.map_or(0, |count| count.load(Relaxed))
                    };
                    let count: u64 = counts.iter().map(|counts| cell(counts)).sum();
                    if count > 0 {
                        let [namespace, ingress, service] = pairs(labels);
                        let labels = [
                            namespace,
                            ingress,
                            service,
                            ("method", *method),
                            ("status", *class),
                        ];
                        series.push((labels, count));
                    }
                }
            }
        }
        writer.counters(
            "requests",
            "Requests by the object of their route, method and class of status",
            series,
        )
    }

    fn durations(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut metric = writer.seconds(
            "request_duration",
            "From a request's head to the end of its answer",
        )?;
        for (labels, counts) in &self.routes {
            let bucket = |index: usize| -> u64 {
                let of_one = |counts: &Arc<RouteCounts>| {
                    counts.buckets.get(index).map_or(0, |count| count.load(Relaxed))
                };
                counts.iter().map(of_one).sum()
            };
            let bounds = BOUNDS_MICROS.iter().enumerate();
            let buckets: Vec<_> = bounds
                .map(|(index, bound)| (in_seconds(*bound), bucket(index)))
                .collect();
            let count: u64 = counts
                .iter()
                .flat_map(|counts| counts.requests.iter().flatten())
                .map(|count| count.load(Relaxed))
                .sum();
            if count > 0 {
                let total = in_seconds(sum(counts, &|counts: &RouteCounts| &counts.micros));
                let labels = pairs(labels);
                let mut series = metric.encode_family(&labels)?;
                series.encode_histogram::<NoLabelSet>(total, count, &with_rest(buckets, count), None)?;
            }
        }
        Ok(())
    }
}

impl Collector for Traffic {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.requests(&mut writer)?;
        self.durations(&mut writer)?;
        let of_routes = [
            (
                "response_bytes",
                "Bytes of the answers' bodies",
                self.of_routes(|route| &route.bytes),
            ),
            (
                "upstream_retries",
                "Tries after a request's first",
                self.of_routes(|route| &route.retries),
            ),
            (
                "upstream_failures",
                "Tries of endpoints that failed",
                self.of_routes(|route| &route.failures),
            ),
        ];
        for (name, help, series) in of_routes {
            writer.counters(name, help, series)?;
        }
        let mut own: BTreeMap<u16, u64> = BTreeMap::new();
        for (status, count) in self.workers.iter().flat_map(|worker| worker.answered()) {
            *own.entry(status).or_default() += count;
        }
        let own = own
            .into_iter()
            .map(|(status, count)| ([("status", status)], count));
        writer.counters("own_answers", "Answers that are the agent's own, by status", own)?;
        let accepted = self.sum(|worker| &worker.accepted);
        writer.counter("connections", "Connections accepted", accepted)?;
        writer.gauge(
            "connections_open",
            "Connections open now",
            accepted.saturating_sub(self.sum(|worker| &worker.closed)),
        )?;
        let begun = self.sum(|worker| &worker.begun);
        writer.gauge(
            "requests_in_flight",
            "Requests under way now",
            begun.saturating_sub(self.sum(|worker| &worker.ended)),
        )?;
        let limited = [
            ("total", self.sum(|worker| &worker.limited.total)),
            ("source", self.sum(|worker| &worker.limited.source)),
            ("listener", self.sum(|worker| &worker.limited.listener)),
            ("handshakes", self.sum(|worker| &worker.limited.handshakes)),
            ("evicted", self.sum(|worker| &worker.limited.evicted)),
            ("stalled", self.sum(|worker| &worker.limited.stalled)),
            ("flooded", self.sum(|worker| &worker.limited.flooded)),
        ];
        writer.counters(
            "connections_limited",
            "Connections, and streams of HTTP/2, that a limit refused or ended, by limit",
            limited.map(|(limit, count)| ([("limit", limit)], count)),
        )?;
        writer.counters(
            "tls_handshakes",
            "TLS handshakes by how they ended",
            [
                ([("result", "ok")], self.sum(|worker| &worker.handshakes.ok)),
                (
                    [("result", "failed")],
                    self.sum(|worker| &worker.handshakes.failed),
                ),
                ([("result", "late")], self.sum(|worker| &worker.handshakes.late)),
            ],
        )
    }
}

fn pairs(labels: &Labels) -> [(&str, &str); 3] {
    [
        ("namespace", &labels.namespace),
        ("ingress", &labels.ingress),
        ("service", &labels.service),
    ]
}

fn sum(counts: &[Arc<RouteCounts>], count: &impl Fn(&RouteCounts) -> &AtomicU64) -> u64 {
    counts.iter().map(|counts| count(counts).load(Relaxed)).sum()
}

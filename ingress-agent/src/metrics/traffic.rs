//! What the workers count, summed over them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};

use super::Writer;
use super::control::{in_seconds, with_rest};
use crate::model::{Action, Model, Route};
use crate::proxy::{BOUNDS_MICROS, CAUSES, CLASSES, Counts, Labels, METHODS, Proxy, RouteCounts};

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

    /// The series whose objects are in no route of the model; sorted.
    pub(super) fn gone(&self, model: &Model) -> Vec<Labels> {
        let sites = model.listeners.iter().map(|listener| &listener.site);
        let mut live = HashSet::new();
        let mut seen = HashSet::new();
        for site in sites.filter(|site| seen.insert(Arc::as_ptr(site))) {
            let hosts = site.hosts.values().flat_map(|host| &host.routes);
            live.extend(hosts.chain(&site.default).map(|route| route_labels(route)));
        }
        let gone = |labels: &&Labels| !labels.ingress.is_empty() && !live.contains(&texts(labels));
        self.routes.keys().filter(gone).cloned().collect()
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

    /// One number per route and cause.
    fn by_cause(
        &self,
        counts: impl Fn(&RouteCounts) -> &[AtomicU64; CAUSES.len()],
    ) -> Vec<([(&str, &str); 4], u64)> {
        let mut series = Vec::new();
        for (labels, routes) in &self.routes {
            for (index, cause) in CAUSES.iter().enumerate() {
                let of_one = |route: &Arc<RouteCounts>| {
                    counts(route).get(index).map_or(0, |count| count.load(Relaxed))
                };
                let count: u64 = routes.iter().map(of_one).sum();
                if count > 0 {
                    let [namespace, ingress, service] = pairs(labels);
                    series.push(([namespace, ingress, service, ("cause", *cause)], count));
                }
            }
        }
        series
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
        writer.counters(
            "response_bytes",
            "Bytes of the answers' bodies",
            self.of_routes(|route| &route.bytes),
        )?;
        writer.counters(
            "upstream_retries",
            "Tries after a request's first, by why the one before failed",
            self.by_cause(|route| &route.retries),
        )?;
        writer.counters(
            "upstream_failures",
            "Tries of endpoints that failed, by why",
            self.by_cause(|route| &route.failures),
        )?;
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

fn route_labels(route: &Route) -> [&str; 3] {
    let service = match &route.action {
        Action::Forward(backend) => &*backend.id.service,
        Action::Refuse => "",
    };
    [&route.origin.namespace, &route.origin.name, service]
}

fn texts(labels: &Labels) -> [&str; 3] {
    [&labels.namespace, &labels.ingress, &labels.service]
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

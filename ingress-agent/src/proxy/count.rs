//! What a worker counts: written by its own thread alone, read by whoever scrapes, summed there.
//!
//! One writer means that an increment is a plain load and store: no lock and no cache line shared with another
//! worker. A series is found by its labels without allocating; only its first request takes the lock of the list
//! that scrapes read.

mod cause;
mod route;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;

use crate::model::{Action, Route};

pub use self::cause::CAUSES;
pub(super) use self::cause::Cause;
pub use self::route::{BOUNDS_MICROS, CLASSES, METHODS, RouteCounts};
pub(super) use self::route::{MethodLabel, Outcome};

/// How many series a worker keeps; requests of further routes are counted without labels.
const MAX_SERIES: usize = 16_384;
/// The first status that the agent answers with by itself.
const FIRST_STATUS: u16 = 300;
const STATUSES: usize = 300;

/// The objects that a request's route comes from; all empty: no route, or one too many.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Labels {
    /// Of the Ingress and the Service.
    pub namespace: Arc<str>,
    /// The Ingress's name.
    pub ingress: Arc<str>,
    /// The Service's name; empty where the route calls none.
    pub service: Arc<str>,
}

/// One worker's counters.
#[derive(Debug)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections ended.
    pub closed: AtomicU64,
    /// Requests begun.
    pub begun: AtomicU64,
    /// Requests ended.
    pub ended: AtomicU64,
    /// TLS handshakes by how they ended.
    pub handshakes: Handshakes,
    /// Connections that a limit ended or refused.
    pub limited: Limited,
    answered: [AtomicU64; STATUSES],
    series: Mutex<Vec<(Labels, Arc<RouteCounts>)>>,
}

/// TLS handshakes.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Completed.
    pub ok: AtomicU64,
    /// Refused by either side.
    pub failed: AtomicU64,
    /// Given up at the deadline.
    pub late: AtomicU64,
}

/// Connections, and streams, that a limit ended or refused.
#[derive(Debug, Default)]
pub struct Limited {
    /// Refused: there are as many as there may be.
    pub total: AtomicU64,
    /// Refused: of this source.
    pub source: AtomicU64,
    /// Refused: at this listener.
    pub listener: AtomicU64,
    /// Ended within its TLS handshake, for another.
    pub handshakes: AtomicU64,
    /// Idle, and ended for others.
    pub evicted: AtomicU64,
    /// The client took nothing of an answer for too long: connections, and streams of HTTP/2.
    pub stalled: AtomicU64,
    /// More frames of HTTP/2 than its requests and answers call for.
    pub flooded: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            closed: AtomicU64::default(),
            begun: AtomicU64::default(),
            ended: AtomicU64::default(),
            handshakes: Handshakes::default(),
            limited: Limited::default(),
            answered: std::array::from_fn(|_| AtomicU64::default()),
            series: Mutex::default(),
        }
    }
}

impl Counts {
    /// The series so far.
    pub fn series(&self) -> Vec<(Labels, Arc<RouteCounts>)> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers of the agent's own, by status; those that never occurred are left out.
    pub fn answered(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = (FIRST_STATUS..).zip(&self.answered);
        counts
            .map(|(status, count)| (status, count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    /// An answer of the agent's own.
    pub(super) fn answer(&self, status: u16) {
        let index = usize::from(status.saturating_sub(FIRST_STATUS));
        if let Some(count) = self.answered.get(index) {
            add(count, 1);
        }
    }
}

/// Adds to a counter whose only writer is the calling thread.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// A worker's way to its counters.
#[derive(Debug)]
pub(super) struct Counter {
    counts: Arc<Counts>,
    /// By namespace, Ingress and Service.
    routes: RefCell<ByName<Ingresses>>,
    known: std::cell::Cell<usize>,
    /// Of requests without labels.
    rest: Arc<RouteCounts>,
}

/// Seeded at random, so that no author of objects can choose names that collide.
type ByName<T> = HashMap<Arc<str>, T, RandomState>;
type Ingresses = ByName<ByName<Arc<RouteCounts>>>;

impl Counter {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        let rest = Arc::default();
        counts.tell(Labels::default(), &rest);
        Self {
            counts,
            routes: RefCell::default(),
            known: std::cell::Cell::new(0),
            rest,
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Counts a request that has ended.
    pub(super) fn count(&self, route: Option<&Route>, outcome: &Outcome<'_>) {
        let Some(route) = route else {
            return self.rest.add(outcome);
        };
        let service = match &route.action {
            Action::Forward(backend) => Some(&backend.id.service),
            Action::Refuse => None,
        };
        let name = service.map_or("", |service| &**service);
        let (namespace, ingress) = (&route.origin.namespace, &route.origin.name);
        let mut routes = self.routes.borrow_mut();
        let known = routes
            .get(namespace)
            .and_then(|ingresses| ingresses.get(ingress))
            .and_then(|services| services.get(name));
        if let Some(known) = known {
            return known.add(outcome);
        }
        if self.known.get() == MAX_SERIES {
            return self.rest.add(outcome);
        }
        self.known.set(self.known.get() + 1);
        let labels = Labels {
            namespace: Arc::clone(namespace),
            ingress: Arc::clone(ingress),
            service: service.map_or_else(Arc::default, Arc::clone),
        };
        let counts = Arc::new(RouteCounts::default());
        counts.add(outcome);
        self.counts.tell(labels.clone(), &counts);
        let ingresses = routes.entry(labels.namespace).or_default();
        ingresses
            .entry(labels.ingress)
            .or_default()
            .insert(labels.service, counts);
    }

    /// Forgets series whose objects are gone. Requests under way of their routes count again as new ones.
    pub(super) fn forget(&self, gone: &[Labels]) {
        let mut routes = self.routes.borrow_mut();
        for Labels {
            namespace,
            ingress,
            service,
        } in gone
        {
            let Some(ingresses) = routes.get_mut(namespace) else {
                continue;
            };
            if let Some(services) = ingresses.get_mut(ingress) {
                if services.remove(service).is_some() {
                    self.known.set(self.known.get() - 1);
                }
                if services.is_empty() {
                    ingresses.remove(ingress);
                }
            }
            if ingresses.is_empty() {
                routes.remove(namespace);
            }
        }
        let mut series = self.counts.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.retain(|(labels, _)| gone.binary_search(labels).is_err());
    }
}

impl Counts {
    fn tell(&self, labels: Labels, counts: &Arc<RouteCounts>) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.push((labels, Arc::clone(counts)));
    }
}

#[cfg(test)]
mod tests;

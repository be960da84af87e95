//! The idle connections of one worker, by endpoint.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use super::endpoint::Endpoint;
use super::http1::Connection;

/// Idle connections a worker keeps to one endpoint.
const MAX_IDLE_PER_ENDPOINT: usize = 128;
/// Idle connections a worker keeps in all.
const MAX_IDLE: usize = 4096;
/// How long a connection stays idle before it is closed, but for the time between two sweeps.
const IDLE: Duration = Duration::from_secs(60);

/// Idle connections. They do not keep their endpoint alive: one that has gone from the table, and from the
/// requests that were under way then, loses them at the next sweep.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Registry {
    /// By the endpoint's allocation, which is its address and transport, as no two alike live at once. The
    /// pool's weak reference keeps it from becoming another's.
    pools: RefCell<HashMap<*const Endpoint, Pool, RandomState>>,
    count: Cell<usize>,
}

#[derive(Debug)]
struct Pool {
    endpoint: Weak<Endpoint>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    /// When it was first seen idle, so that a request costs no look at the clock.
    since: Option<Instant>,
}

impl Registry {
    /// The connection to `endpoint` that was used last, as the pod is least likely to be closing that one.
    pub(super) fn take(&self, endpoint: &Arc<Endpoint>) -> Option<Box<Connection>> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(&Arc::as_ptr(endpoint))?;
        while let Some(Idle { mut connection, .. }) = pool.idle.pop() {
            self.count.set(self.count.get() - 1);
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose request and answer are both complete.
    pub(in crate::proxy) fn put(&self, mut connection: Box<Connection>) {
        // It carries no request from here on, kept or not.
        let Some(in_flight) = connection.in_flight.take() else {
            return;
        };
        self.keep(in_flight.endpoint(), connection);
    }

    /// Keeps a connection to `endpoint` that carries no request.
    pub(super) fn keep(&self, endpoint: &Arc<Endpoint>, mut connection: Box<Connection>) {
        if !connection.is_free() || self.count.get() >= MAX_IDLE {
            return;
        }
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(Arc::as_ptr(endpoint)).or_insert_with(|| Pool {
            endpoint: Arc::downgrade(endpoint),
            idle: Vec::new(),
        });
        if pool.idle.len() < MAX_IDLE_PER_ENDPOINT {
            connection.reused = true;
            connection.shrink();
            pool.idle.push(Idle {
                connection,
                since: None,
            });
            self.count.set(self.count.get() + 1);
        }
    }

    /// Closes what is idle for too long, was closed by the pod or leads to an endpoint that has gone. Called
    /// now and then.
    pub(in crate::proxy) fn sweep(&self, now: Instant) {
        let mut pools = self.pools.borrow_mut();
        let mut count = 0;
        pools.retain(|_, pool| {
            let gone = pool.endpoint.strong_count() == 0;
            pool.idle.retain_mut(|idle| {
                let since = *idle.since.get_or_insert(now);
                !gone && now < since + IDLE && idle.connection.is_quiet()
            });
            count += pool.idle.len();
            !pool.idle.is_empty()
        });
        self.count.set(count);
    }
}

#[cfg(test)]
mod tests;

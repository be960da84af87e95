//! The idle connections of one worker, by endpoint.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connect::Connection;

/// Idle connections a worker keeps to one endpoint.
const MAX_IDLE_PER_ENDPOINT: usize = 128;
/// Idle connections a worker keeps in all.
const MAX_IDLE: usize = 4096;
/// How long a connection stays idle before it is closed, but for the time between two sweeps.
pub(in crate::proxy) const IDLE: Duration = Duration::from_secs(60);

/// Idle connections. An endpoint that has gone from the table gets no requests, so its connections leave within
/// [`IDLE`], and its entry with them.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Registry {
    endpoints: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    count: Cell<usize>,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    /// When it was first seen idle, so that a request costs no look at the clock.
    since: Option<Instant>,
}

impl Registry {
    /// The connection to `endpoint` that was used last, as the pod is least likely to be closing that one.
    pub(in crate::proxy) fn take(&self, endpoint: SocketAddr) -> Option<Box<Connection>> {
        let mut endpoints = self.endpoints.borrow_mut();
        let idle = endpoints.get_mut(&endpoint)?;
        while let Some(Idle { connection, .. }) = idle.pop() {
            self.count.set(self.count.get() - 1);
            if connection.sender.is_ready() && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose request and answer are both complete.
    pub(in crate::proxy) fn put(&self, mut connection: Box<Connection>) {
        if connection.sender.is_closed() || self.count.get() >= MAX_IDLE {
            return;
        }
        let mut endpoints = self.endpoints.borrow_mut();
        let idle = endpoints.entry(connection.endpoint).or_default();
        if idle.len() < MAX_IDLE_PER_ENDPOINT {
            connection.reused = true;
            idle.push(Idle {
                connection,
                since: None,
            });
            self.count.set(self.count.get() + 1);
        }
    }

    /// Closes what is idle for too long or was closed by the pod. Called now and then.
    pub(in crate::proxy) fn sweep(&self, now: Instant) {
        let mut endpoints = self.endpoints.borrow_mut();
        let mut count = 0;
        endpoints.retain(|_, idle| {
            idle.retain_mut(|idle| {
                let since = *idle.since.get_or_insert(now);
                now < since + IDLE && !idle.connection.sender.is_closed()
            });
            count += idle.len();
            !idle.is_empty()
        });
        self.count.set(count);
    }
}

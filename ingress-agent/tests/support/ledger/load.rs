//! The clients of a load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::book::{Book, Cause, Ledger};
use super::message::Message;
use super::target::{Expected, Target};
use super::trust::Trust;
use super::{client, h2};

/// How requests are sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// TLS, with what it trusts.
    pub(crate) tls: Option<Arc<Trust>>,
    /// Clients; each has one request under way at a time, and over TLS one connection per host.
    pub(crate) connections: usize,
    /// Requests that a connection carries before the client opens another.
    pub(crate) per_connection: usize,
    /// Requests a second, of all clients: each is due at its time, whether or not those before it were
    /// answered, as long as a client is free. `None`: as fast as answers come.
    pub(crate) rate: Option<f64>,
    /// How long nothing may come.
    pub(crate) timeout: Duration,
}

impl Load {
    /// 16 clients in clear that keep their connections, as fast as answers come.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            connections: 16,
            per_connection: usize::MAX,
            rate: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Starts it: the targets in turn, until [`Running::finish`].
    pub(crate) fn start(self, book: &Arc<Book>, targets: &[Arc<Target>]) -> Running {
        let shared = self.shared(book, targets);
        let clients = (0..shared.load.connections).map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || client::run(&shared))
        });
        Running {
            clients: clients.collect(),
            shared,
        }
    }

    /// As [`Load::start`], over HTTP/2: one connection per host, and as many requests under way as the load has
    /// connections.
    pub(crate) fn start_h2(self, book: &Arc<Book>, targets: &[Arc<Target>]) -> Running {
        let shared = self.shared(book, targets);
        let clients = Arc::clone(&shared);
        Running {
            clients: vec![thread::spawn(move || h2::run(&clients))],
            shared,
        }
    }

    fn shared(self, book: &Arc<Book>, targets: &[Arc<Target>]) -> Arc<Shared> {
        Arc::new(Shared {
            load: self,
            book: Arc::clone(book),
            targets: targets.to_vec(),
            begin: Instant::now(),
            due: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }
}

/// A load that runs.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Ledger>>,
}

pub(super) struct Shared {
    pub(super) load: Load,
    book: Arc<Book>,
    targets: Vec<Arc<Target>>,
    begin: Instant,
    due: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    stopped: AtomicBool,
}

impl Running {
    /// Requests that were sent until now.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Requests that have failed until now.
    pub(crate) fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits until so many requests were sent, or a client has ended.
    pub(crate) fn wait_for(&self, requests: u64) {
        while self.sent() < requests && !self.clients.iter().any(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until so many requests were sent, then [`Running::finish`].
    pub(crate) fn finish_after(self, requests: u64) -> Ledger {
        self.wait_for(requests);
        self.finish()
    }

    /// Lets the requests under way end, and says how all ended.
    pub(crate) fn finish(mut self) -> Ledger {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for client in std::mem::take(&mut self.clients) {
            ledger.add(client.join().unwrap());
        }
        ledger.took = self.shared.begin.elapsed();
        ledger
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that fails while the load runs ends it.
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// Keeps the ledger of one client, or of one stream.
pub(super) struct Clerk<'a> {
    shared: &'a Shared,
    pub(super) ledger: Ledger,
    /// Ids, whether they may come twice, and whether they were answered well.
    sent: Vec<(u64, bool, bool)>,
}

/// A request that is to be sent.
pub(super) struct Turn<'a> {
    pub(super) id: u64,
    pub(super) target: &'a Target,
    /// What is right now, before it is sent.
    pub(super) before: Arc<Expected>,
    due: Instant,
}

impl<'a> Clerk<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            ledger: Ledger::default(),
            sent: Vec::new(),
        }
    }

    /// When the next request is due; `None`: now.
    pub(super) fn due(&self) -> Option<Instant> {
        let rate = self.shared.load.rate?;
        let turn = self.shared.due.fetch_add(1, Ordering::Relaxed);
        Some(self.shared.begin + Duration::from_secs_f64(turn as f64 / rate))
    }

    /// The next request, which now is sent; `None`: no more.
    pub(super) fn next(&mut self, due: Option<Instant>) -> Option<Turn<'a>> {
        if self.shared.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let id = self.shared.book.next();
        let turn = usize::try_from(id).unwrap() % self.shared.targets.len();
        let target = &self.shared.targets[turn];
        self.ledger.sent += 1;
        self.shared.sent.fetch_add(1, Ordering::Relaxed);
        Some(Turn {
            id,
            target,
            before: target.expected(),
            due: due.unwrap_or_else(Instant::now),
        })
    }

    /// How it ended.
    pub(super) fn enter(&mut self, turn: &Turn<'_>, answer: Result<Message, (Cause, String)>) {
        let Turn {
            id,
            target,
            before,
            due,
        } = turn;
        let judged = answer.and_then(|answer| {
            let judged = target.judge(before, &answer, *id);
            judged.map_err(|cause| (cause, format!("{} {:?}", answer.status, answer.body)))
        });
        self.sent.push((*id, target.is_idempotent(), judged.is_ok()));
        match judged {
            Ok(()) => self.ledger.ok += 1,
            Err((cause, words)) => {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                let at = due.duration_since(self.shared.begin);
                self.ledger.fail(cause, || {
                    let expected = target.expected();
                    format!("{id} {target} at {at:.1?}: {words}; {expected:?}")
                });
            }
        }
        self.ledger.slowest = self.ledger.slowest.max(due.elapsed());
    }

    /// Adds what the pods got.
    pub(super) fn close(mut self) -> Ledger {
        for (id, idempotent, ok) in self.sent {
            if self.shared.book.count(id) < 2 {
                continue;
            }
            if idempotent {
                self.ledger.repeated += 1;
                continue;
            }
            self.ledger.duplicated += 1;
            if ok {
                self.ledger.ok -= 1;
                self.ledger.fail(Cause::Duplicate, || id.to_string());
            }
        }
        self.ledger
    }
}

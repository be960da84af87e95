//! The clients of a load.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::book::{Book, Cause, Ledger};
use super::client::Connection;
use super::target::Target;
use super::trust::Trust;

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
        let shared = Arc::new(Shared {
            load: self,
            book: Arc::clone(book),
            targets: targets.to_vec(),
            begin: Instant::now(),
            due: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let clients = (0..shared.load.connections).map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Client::new(&shared).run())
        });
        Running {
            clients: clients.collect(),
            shared,
        }
    }
}

/// A load that runs.
pub(crate) struct Running {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Ledger>>,
}

struct Shared {
    load: Load,
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

struct Client<'a> {
    shared: &'a Shared,
    /// Over TLS by host; in clear one for all.
    connections: HashMap<String, Connection>,
    ledger: Ledger,
    /// Ids, whether they may come twice, and whether they were answered well.
    sent: Vec<(u64, bool, bool)>,
}

impl<'a> Client<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            connections: HashMap::new(),
            ledger: Ledger::default(),
            sent: Vec::new(),
        }
    }

    fn run(mut self) -> Ledger {
        while let Some(due) = self.wait() {
            let id = self.shared.book.next();
            let turn = usize::try_from(id).unwrap() % self.shared.targets.len();
            let target = &self.shared.targets[turn];
            self.ledger.sent += 1;
            self.shared.sent.fetch_add(1, Ordering::Relaxed);
            let result = self.send(target, id);
            self.sent.push((id, target.is_idempotent(), result.is_ok()));
            match result {
                Ok(()) => self.ledger.ok += 1,
                Err((cause, words)) => {
                    self.shared.failed.fetch_add(1, Ordering::Relaxed);
                    let Target {
                        method, host, path, ..
                    } = &**target;
                    let at = due.duration_since(self.shared.begin);
                    self.ledger.fail(cause, || {
                        format!(
                            "{id} {method} {host}{path} at {at:.1?}: {words}; {:?}",
                            target.expected()
                        )
                    });
                }
            }
            self.ledger.slowest = self.ledger.slowest.max(due.elapsed());
        }
        self.look_for_repetitions();
        self.ledger
    }

    /// Until a request is due, and when it was; `None`: no more.
    fn wait(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = match self.shared.load.rate {
            None => now,
            Some(rate) => {
                let turn = self.shared.due.fetch_add(1, Ordering::Relaxed);
                self.shared.begin + Duration::from_secs_f64(turn as f64 / rate)
            }
        };
        thread::sleep(due.saturating_duration_since(now));
        let stopped = self.shared.stopped.load(Ordering::Relaxed);
        (!stopped).then_some(due)
    }

    fn send(&mut self, target: &Target, id: u64) -> Result<(), (Cause, String)> {
        let load = &self.shared.load;
        let before = target.expected();
        let key = if load.tls.is_some() { &*target.host } else { "" };
        let mut connection = match self.connections.remove(key) {
            Some(connection) => connection,
            None => Connection::open(load, &target.host, &mut self.ledger)?,
        };
        let answer = connection.exchange(&target.request(id))?;
        if connection.carried < load.per_connection && !Connection::ends_with(&answer) {
            self.connections.insert(key.to_owned(), connection);
        }
        let judged = target.judge(&before, &answer, id);
        judged.map_err(|cause| (cause, format!("{} {:?}", answer.status(), answer.body)))
    }

    fn look_for_repetitions(&mut self) {
        for &(id, idempotent, ok) in &self.sent {
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
    }
}

//! What was sent, what pods got, and how it ended.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many failed requests a ledger tells of in words.
const EXAMPLES: usize = 20;

/// The ids that were given out, and how often a pod got each. Shared by loads and pods.
#[derive(Debug, Default)]
pub(crate) struct Book {
    next: AtomicU64,
    seen: Mutex<Vec<u8>>,
    /// What pods write, 8 bytes an id; without it they write into `seen`.
    file: Option<File>,
}

impl Book {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One whose pods may be other processes: all open it by the same path, and one of them gives out ids.
    pub(crate) fn at(path: &Path) -> Arc<Self> {
        let file = File::options().create(true).append(true).read(true).open(path);
        Arc::new(Self {
            file: Some(file.unwrap()),
            ..Self::default()
        })
    }

    /// An id that no other request has.
    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A pod got the head of this request.
    pub(super) fn write(&self, id: u64) {
        match self.file.as_ref() {
            Some(mut file) => file.write_all(&id.to_ne_bytes()).unwrap(),
            None => add(&mut self.seen.lock().unwrap(), id),
        }
    }

    /// How often pods got this request.
    pub(crate) fn count(&self, id: u64) -> u8 {
        let mut seen = self.seen.lock().unwrap();
        if let Some(mut file) = self.file.as_ref() {
            let mut new = Vec::new();
            file.read_to_end(&mut new).unwrap();
            let ids = new
                .chunks_exact(8)
                .map(|id| u64::from_ne_bytes(id.try_into().unwrap()));
            ids.for_each(|id| add(&mut seen, id));
        }
        seen.get(usize::try_from(id).unwrap()).copied().unwrap_or(0)
    }
}

fn add(seen: &mut Vec<u8>, id: u64) {
    let index = usize::try_from(id).unwrap();
    if seen.len() <= index {
        seen.resize(index + 1024, 0);
    }
    seen[index] = seen[index].saturating_add(1);
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Cause {
    /// No connection came about.
    Refused,
    /// No TLS came about.
    Handshake,
    /// The certificate is not the host's, or not one of those that may be shown now.
    Certificate,
    /// The connection ended before the answer's head was whole.
    ResetBeforeHead,
    /// The connection ended within the answer's body.
    ResetAfterHead,
    /// A status of 400 to 499 that is not expected.
    Status4xx,
    /// A status of 500 to 599.
    Status5xx,
    /// Another status that is not expected.
    OtherStatus,
    /// Nothing came for too long.
    Timeout,
    /// The body is not the one that belongs to the request.
    WrongBody,
    /// A pod answered that may not.
    WrongBackend,
    /// A request that is not idempotent came to pods twice.
    Duplicate,
}

/// How the requests of a load ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: u64,
    pub(crate) ok: u64,
    pub(crate) failed: BTreeMap<Cause, u64>,
    /// The first failures, in words.
    pub(crate) examples: Vec<String>,
    /// Idempotent requests that came to pods more than once, which a retry may do.
    pub(crate) repeated: u64,
    /// Others that did, however they ended.
    pub(crate) duplicated: u64,
    /// Connections that were opened; over TLS, each is a handshake.
    pub(crate) connections: u64,
    /// Handshakes that resumed a session.
    pub(crate) resumed: u64,
    /// From when a request was due to the end of its answer.
    pub(crate) slowest: Duration,
    /// How long the load ran.
    pub(crate) took: Duration,
}

impl Ledger {
    /// Requests of which nobody knows how they ended.
    pub(crate) fn unknown(&self) -> u64 {
        self.sent - self.ok - self.failures()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Panics with the ledger unless every request was answered as it should be.
    pub(crate) fn assert_clean(&self) {
        assert!(self.sent > 0 && self.ok == self.sent, "{self}");
    }

    pub(super) fn fail(&mut self, cause: Cause, words: impl FnOnce() -> String) {
        *self.failed.entry(cause).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{cause:?}: {}", words()));
        }
    }

    /// Adds what another client of the same load saw.
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        for (cause, count) in other.failed {
            *self.failed.entry(cause).or_default() += count;
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
        self.repeated += other.repeated;
        self.duplicated += other.duplicated;
        self.connections += other.connections;
        self.resumed += other.resumed;
        self.slowest = self.slowest.max(other.slowest);
    }
}

impl Display for Ledger {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (sent, ok, failed, unknown) = (self.sent, self.ok, self.failures(), self.unknown());
        writeln!(
            out,
            "sent {sent} = ok {ok} + failed {failed} {:?} + unknown {unknown}",
            self.failed
        )?;
        writeln!(
            out,
            "{:.1?}, {:.0}/s, {} connections, {} resumed, slowest {:.1?}, repeated {}, duplicated {}",
            self.took,
            self.sent as f64 / self.took.as_secs_f64().max(1e-3),
            self.connections,
            self.resumed,
            self.slowest,
            self.repeated,
            self.duplicated
        )?;
        self.examples
            .iter()
            .try_for_each(|example| writeln!(out, "  {example}"))
    }
}

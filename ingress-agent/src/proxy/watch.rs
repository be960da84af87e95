//! What the two ends of a client's connection tell one another: the guard below hyper, the service above it.
//!
//! Atomics rather than cells, because hyper may hand the IO to an upgrade, which asks for `Send`. One task
//! touches them, so every access is relaxed.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use super::guard::Refusal;

/// A deadline or a number that is not set.
const NEVER: u64 = u64::MAX;

/// One connection's shared state.
#[derive(Debug)]
pub(super) struct Watch {
    opened: Instant,
    /// Milliseconds after `opened`.
    deadline: AtomicU64,
    /// Whether a write has waited for the client.
    waited: AtomicBool,
    /// Whether the connection ends by a reset.
    given_up: AtomicBool,
    /// Whether it has answered requests and waits for the next.
    idle: AtomicBool,
    /// Whether it is to end for others.
    evicted: AtomicBool,
    expired: AtomicBool,
    /// Whether the beginning of a head waits for its end.
    head_begun: AtomicBool,
    refused: OnceLock<(u64, Refusal)>,
    broken: OnceLock<Refusal>,
    /// The number of the request that is the last, once it has come whole.
    last: AtomicU64,
    /// Whether all of the last answer is there: what is written now is followed by the end.
    over: AtomicBool,
    /// Whether the client's end would not be noticed now.
    deaf: AtomicBool,
    /// Whether it is to be.
    listens: AtomicBool,
    /// The request that offers another protocol; with it the requests end.
    upgrade: OnceLock<u64>,
    switched: AtomicBool,
    answered: AtomicBool,
    /// Whether hyper waits for a head of which nothing has come.
    between: AtomicBool,
    /// Whether all that hyper wrote has gone to the transport.
    flushed: AtomicBool,
}

impl Watch {
    /// Of a connection just accepted, whose first head is due in `first_head`.
    pub(super) fn new(first_head: Duration) -> Self {
        let watch = Self {
            opened: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            waited: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            head_begun: AtomicBool::new(false),
            refused: OnceLock::new(),
            broken: OnceLock::new(),
            last: AtomicU64::new(NEVER),
            over: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            listens: AtomicBool::new(false),
            upgrade: OnceLock::new(),
            switched: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            between: AtomicBool::new(false),
            flushed: AtomicBool::new(false),
        };
        watch.expect_within(watch.opened, first_head);
        watch
    }

    /// The connection expires unless something arrives within `limit` of `now`.
    pub(super) fn expect_within(&self, now: Instant, limit: Duration) {
        let due = (now - self.opened + limit).as_millis();
        self.deadline.store(u64::try_from(due).unwrap_or(NEVER), Relaxed);
    }

    /// A write waits for the client.
    pub(super) fn write_waits(&self) {
        self.waited.store(true, Relaxed);
    }

    /// Whether one has, since the last time this was asked.
    pub(super) fn take_waited(&self) -> bool {
        self.waited.load(Relaxed) && self.waited.swap(false, Relaxed)
    }

    /// The connection is to end by a reset.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// The connection waits for nothing from the client.
    pub(super) fn expect_nothing(&self) {
        self.deadline.store(NEVER, Relaxed);
    }

    /// Whether the connection waits for something from the client.
    pub(super) fn expects(&self) -> bool {
        self.deadline.load(Relaxed) != NEVER
    }

    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Relaxed);
    }

    /// Until when an idle connection is kept, in its worker's order; `None`: it is not idle, or ends already.
    pub(super) fn idle_until(&self) -> Option<Instant> {
        let idle = self.idle.load(Relaxed) && !self.head_begun() && !self.is_evicted();
        self.deadline().filter(|_| idle)
    }

    /// The connection is to end now that it is idle.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Relaxed);
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    /// When it expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let due = self.deadline.load(Relaxed);
        (due != NEVER).then(|| self.opened + Duration::from_millis(due))
    }

    /// The deadline has passed.
    pub(super) fn expire(&self) {
        self.expect_nothing();
        self.expired.store(true, Relaxed);
    }

    /// Whether it has, since the last time this was asked.
    pub(super) fn take_expired(&self) -> bool {
        self.expired.load(Relaxed) && self.expired.swap(false, Relaxed)
    }

    pub(super) fn set_head_begun(&self, begun: bool) {
        self.head_begun.store(begun, Relaxed);
    }

    pub(super) fn head_begun(&self) -> bool {
        self.head_begun.load(Relaxed)
    }

    /// The head of the connection's request `number`, counted from 0, is refused.
    pub(super) fn refuse(&self, number: u64, refusal: Refusal) {
        _ = self.refused.set((number, refusal));
    }

    /// Why request `number` is refused, if it is.
    pub(super) fn refusal(&self, number: u64) -> Option<Refusal> {
        let (refused, refusal) = self.refused.get()?;
        (*refused == number).then_some(*refusal)
    }

    /// Whether the current request's answer has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    pub(super) fn set_answered(&self, answered: bool) {
        self.answered.store(answered, Relaxed);
    }

    pub(super) fn set_between(&self, between: bool) {
        self.between.store(between, Relaxed);
    }

    pub(super) fn set_flushed(&self, flushed: bool) {
        self.flushed.store(flushed, Relaxed);
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.between.load(Relaxed) && self.flushed.load(Relaxed) && !self.head_begun()
    }

    /// Request `number`, counted from 0, has come whole and is the last.
    pub(super) fn expect_last(&self, number: u64) {
        self.last.store(number, Relaxed);
    }

    /// Request `number` is answered as far as it will be.
    pub(super) fn answered(&self, number: u64) {
        if self.last.load(Relaxed) == number {
            self.over.store(true, Relaxed);
        }
    }

    /// Whether the last request is answered.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Whether nothing is wanted of the client any more, and its end may go unnoticed for a while.
    pub(super) fn may_be_deaf(&self) -> bool {
        self.last.load(Relaxed) != NEVER && !self.listens.load(Relaxed)
    }

    pub(super) fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Relaxed);
    }

    /// The client's end is to be noticed from here on. Whether the connection's task has to be woken for that.
    pub(super) fn listen(&self) -> bool {
        self.deaf.load(Relaxed) && !self.listens.swap(true, Relaxed)
    }

    /// Request `number` offers another protocol. The guard passes nothing after it until [`Watch::switch`].
    pub(super) fn offer_upgrade(&self, number: u64) {
        _ = self.upgrade.set(number);
    }

    /// Whether request `number` offers another protocol.
    pub(super) fn offers_upgrade(&self, number: u64) -> bool {
        self.upgrade.get() == Some(&number)
    }

    /// The offer was taken.
    pub(super) fn switch(&self) {
        self.switched.store(true, Relaxed);
    }

    pub(super) fn has_switched(&self) -> bool {
        self.switched.load(Relaxed)
    }

    /// The body of the current request is malformed.
    pub(super) fn break_body(&self, refusal: Refusal) {
        _ = self.broken.set(refusal);
    }

    /// Why the current request's body ends in an error, if the client's framing is the reason.
    pub(super) fn broken_body(&self) -> Option<Refusal> {
        self.broken.get().copied()
    }
}

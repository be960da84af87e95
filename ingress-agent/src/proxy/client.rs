//! A client's connection, as its requests see it.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;

use super::access::Record;
use super::header::Forwarded;
use super::serve::Ends;
use super::tls::Security;
use super::tunnel::Tunnel;
use super::watch::Watch;
use super::worker::Worker;

/// The port at which a balancer that says nothing else was dialled by TLS.
const HTTPS: u16 = 443;
/// Bytes of the longest address in words, an IPv4 one in IPv6 clothes.
const LONGEST_ADDRESS: usize = 45;

/// Who calls, where, and on which worker.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    /// The client: by DSR the accepted socket's peer is the client itself; else whom a balancer names.
    pub(super) peer: SocketAddr,
    /// The VIP, or the ordinary listener's own address.
    pub(super) local: SocketAddr,
    /// Whether it came over TLS, to here or to a balancer in front.
    pub(super) tls: bool,
    /// Of the connection itself.
    pub(super) security: Security,
    pub(super) forwarded: Forwarded,
    pub(super) watch: Arc<Watch>,
    requests: Cell<u64>,
    open: Cell<u64>,
    abandoned: Cell<u32>,
    tunnel: RefCell<Option<(Tunnel, Record)>>,
    turn: Cell<Turn>,
}

/// What a stream of HTTP/2 did when it was last polled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Its answer began.
    pub(super) answered: bool,
    /// The pod has nothing more to send for now.
    pub(super) pod_waits: bool,
    /// Bytes of the answer's body that were handed on.
    pub(super) bytes: u64,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, ends: Ends, security: Security, watch: Arc<Watch>) -> Self {
        let Ends { peer, local, dialled } = ends;
        // A balancer that terminates TLS itself dials a plain listener and names the port it was dialled at.
        let https = security.is_tls() || (dialled != local && dialled.port() == HTTPS);
        let scheme = if https { "https" } else { "http" };
        let forwarded = Forwarded::new(&address(peer.ip()), dialled.port(), scheme);
        Self {
            worker,
            peer,
            local,
            tls: https,
            security,
            forwarded,
            watch,
            requests: Cell::new(0),
            open: Cell::new(0),
            abandoned: Cell::new(0),
            tunnel: RefCell::default(),
            turn: Cell::default(),
        }
    }

    /// The Host of a request that names none, which HTTP/1.0 allows and a pod does not: the VIP.
    pub(super) fn own_host(&self) -> HeaderValue {
        text(self.local.to_string())
    }

    /// The number of the request that has just arrived, from 0.
    pub(super) fn next_request(&self) -> u64 {
        self.requests.replace(self.requests.get() + 1)
    }

    /// How many requests have arrived.
    pub(super) fn asked(&self) -> u64 {
        self.requests.get()
    }

    /// How many requests the client gave up before their answer's end.
    pub(super) fn abandoned(&self) -> u32 {
        self.abandoned.get()
    }

    /// The client has given a request up.
    pub(super) fn abandon(&self) {
        self.abandoned.set(self.abandoned.get().saturating_add(1));
    }

    /// Since when the connection is idle: all that was asked is answered, and the answers are written.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.open.get() == 0 && self.asked() > 0 && self.watch.is_quiet();
        // An idle connection's deadline is this one.
        is_idle.then(|| self.watch.deadline()?.checked_sub(self.worker.options.idle))?
    }

    /// What the connection becomes once the answer is written.
    pub(super) fn become_tunnel(&self, tunnel: Tunnel, record: Record) {
        self.watch.switch();
        *self.tunnel.borrow_mut() = Some((tunnel, record));
    }

    pub(super) fn take_tunnel(&self) -> Option<(Tunnel, Record)> {
        self.tunnel.borrow_mut().take()
    }

    /// What was noted since this was last asked.
    pub(super) fn take_turn(&self) -> Turn {
        self.turn.take()
    }

    /// The answer whose turn it is waits for the pod, or hands these bytes on.
    pub(super) fn note_body(&self, bytes: Option<u64>) {
        let mut turn = self.turn.get();
        turn.pod_waits = bytes.is_none();
        turn.bytes += bytes.unwrap_or_default();
        self.turn.set(turn);
    }

    /// A request has arrived: the client owes nothing, unless the next one's head has begun.
    pub(super) fn request_begins(&self) {
        self.open.set(self.open.get() + 1);
        self.watch.set_idle(false);
        self.watch.set_answered(false);
        if !self.watch.head_begun() {
            self.watch.expect_nothing();
        }
    }

    /// An answer begins: the rest of the request's body may take its time.
    pub(super) fn answer_begins(&self) {
        self.turn.set(Turn {
            answered: true,
            ..Turn::default()
        });
        self.watch.set_answered(true);
        if !self.watch.head_begun() {
            self.watch.expect_nothing();
        }
    }

    /// A request has ended: the connection is idle, unless there are others or the next one's head has begun.
    pub(super) fn request_ended(&self, now: Instant) {
        self.open.set(self.open.get() - 1);
        if let Some(number) = self.asked().checked_sub(1) {
            self.watch.answered(number);
        }
        if !self.is_asking() && !self.watch.expects() {
            self.becomes_idle(now);
        }
    }

    /// Whether requests are under way.
    pub(super) fn is_asking(&self) -> bool {
        self.open.get() > 0
    }

    /// The client may take its time for the next request.
    pub(super) fn becomes_idle(&self, now: Instant) {
        self.watch.set_idle(true);
        self.watch.expect_within(now, self.worker.options.idle);
    }
}

/// An address in words, in memory that is allocated once.
fn address(address: IpAddr) -> String {
    let mut text = String::with_capacity(LONGEST_ADDRESS);
    match address {
        // By hand, since every connection has one and its own way there is four times as long.
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    text.push('.');
                }
                for unit in [100, 10, 1]
                    .into_iter()
                    .filter(|&unit| octet >= unit || unit == 1)
                {
                    text.push(char::from(b'0' + octet / unit % 10));
                }
            }
        }
        // Writing to a string does not fail.
        IpAddr::V6(address) => _ = write!(text, "{address}"),
    }
    text
}

/// Of an address, which has only bytes a field may have.
fn text(address: String) -> HeaderValue {
    HeaderValue::try_from(address).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        let octets = (0..=255).map(|octet| IpAddr::from([octet, 255 - octet, 0, octet]));
        for one in octets.chain(["2001:db8::1", "::ffff:0:1"].map(|text| text.parse().unwrap())) {
            assert_eq!(address(one), one.to_string());
        }
    }
}

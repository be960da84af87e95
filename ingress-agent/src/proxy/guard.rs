//! The strict reader below hyper: refuses what RFC 9112 leaves open before hyper sees it.
//!
//! ```text
//! client's bytes ─▶ Guard ── whole, judged heads and bodies ──▶ hyper ─▶ service
//!                     └─ refused head: a stand-in request; the service answers it with the refusal's status
//! ```
//!
//! hyper repairs silently what others read differently, which is how requests are smuggled: a bare LF, two
//! lengths, a `Transfer-Encoding` that is not just `chunked`. The guard judges the same bytes first. In the
//! usual case, a head that comes whole, it copies nothing. It knows nothing of routes.

pub(super) mod chunks;
mod framer;
pub(super) mod frames;
pub(super) mod h2;
mod head;
pub(super) mod pace;
mod refusal;
pub(super) mod syntax;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::framer::{Framer, Judgement};
use self::head::Scan;
use self::pace::Pace;
pub(super) use self::refusal::Refusal;
use super::watch::Watch;

/// What hyper gets in place of a refused head. The service never routes it: it knows the request's number.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// How much is read and thrown away after the last answer, so that the client can read it: closing a socket
/// that holds unread bytes resets the connection.
const LINGER_BYTES: usize = 64 * 1024;
/// How much is read of a head that ends a rest; the others are read by hyper.
const FIRST: usize = 4096;
const LINGER: Duration = Duration::from_secs(1);

/// A client's connection whose requests are well framed.
#[derive(Debug)]
pub(super) struct Guard<S> {
    io: S,
    framer: Framer,
    /// Bytes that were read and not yet passed on: the beginning of a head, or what found no room.
    held: Vec<u8>,
    /// How many of `held` may be passed on.
    ready: usize,
    /// Heads passed on so far.
    heads: u64,
    end: End,
    /// Whether the transport ends by words of its own, as TLS does.
    says_goodbye: bool,
    limits: Limits,
    pace: Pace,
    watch: Arc<Watch>,
}

/// Whether a whole head would pass the guard.
pub(super) fn judge_head(head: &[u8]) -> Result<(), Refusal> {
    Scan::default().advance(head).map(|_| ())
}

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From a head's first byte to its end.
    pub(super) head: Duration,
    /// For a body, before it must come at its least rate.
    pub(super) body: Duration,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// Not in sight.
    Open,
    /// A head was refused; the stand-in is the last that hyper gets.
    Refused,
    /// A body is malformed.
    Broken(Refusal),
    /// The protocol is another: bytes pass as they come.
    Switched,
    /// The last answer is written; this many bytes may still come.
    Lingering { left: usize },
}

impl<S> Guard<S> {
    /// Guards a connection that has just begun.
    pub(super) fn new(io: S, says_goodbye: bool, limits: Limits, watch: Arc<Watch>) -> Self {
        Self {
            io,
            framer: Framer::new(),
            held: Vec::new(),
            ready: 0,
            heads: 0,
            end: End::Open,
            says_goodbye,
            limits,
            pace: Pace::default(),
            watch,
        }
    }

    /// Passes on what may be, as far as there is room.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        if let Some(bytes) = self.held.get(..count) {
            buf.put_slice(bytes);
        }
        self.held.drain(..count);
        self.ready -= count;
        if self.held.is_empty() {
            // An idle connection holds no memory here.
            self.held = Vec::new();
        }
    }

    /// Acts on a judgement whose passed bytes end at `self.ready` of `self.held`, or were passed already.
    fn note(&mut self, judgement: &Judgement) {
        self.heads += judgement.heads;
        if judgement.heads > 0 {
            self.pace = Pace::default();
        }
        if let Some(refusal) = judgement.refusal {
            self.refuse(refusal);
            return;
        }
        if self.framer.is_switching() {
            self.watch.expect_nothing();
            self.watch.set_head_begun(false);
            self.watch.offer_upgrade(self.heads - 1);
            return;
        }
        let begun = self.held.len() > self.ready;
        if begun {
            // The first head's deadline runs from the accept; any other's from its first byte.
            if self.heads > 0 && (judgement.heads > 0 || !self.watch.head_begun()) {
                self.watch.expect_within(Instant::now(), self.limits.head);
            }
        } else if judgement.heads > 0 {
            self.watch.expect_nothing();
            if judgement.last {
                self.watch.expect_last(self.heads - 1);
            }
        }
        if begun || judgement.heads > 0 {
            self.watch.set_head_begun(begun);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.held.truncate(self.ready);
        self.watch.expect_nothing();
        self.watch.set_head_begun(false);
        if self.framer.in_body() {
            self.watch.break_body(refusal);
            self.end = End::Broken(refusal);
        } else {
            self.watch.refuse(self.heads, refusal);
            self.end = End::Refused;
            self.held.extend_from_slice(STAND_IN);
            self.ready = self.held.len();
        }
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Reads into hyper's own buffer and takes back what must wait. `false`: the client has ended.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let judgement = self.framer.follow(read);
        let waits = read.get(judgement.pass..).unwrap_or_default();
        if !waits.is_empty() {
            self.held.extend_from_slice(waits);
            buf.set_filled(before + judgement.pass);
        }
        self.note(&judgement);
        Poll::Ready(Ok(true))
    }

    /// Reads more of a head that has begun. `false`: the client has ended.
    fn poll_held(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            return Poll::Ready(Ok(false));
        }
        self.held.extend_from_slice(read);
        buf.set_filled(before);
        let judgement = self.framer.follow(&self.held);
        self.ready = judgement.pass;
        self.note(&judgement);
        Poll::Ready(Ok(true))
    }

    /// Waits for the next head's first bytes, while nothing is held. What else there may be, such as the client's
    /// end, the next read finds again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [MaybeUninit::uninit(); FIRST];
        let read = ready!(self.poll_held(cx, &mut ReadBuf::uninit(&mut scratch)));
        self.watch.set_between(false);
        if let Err(error) = read {
            tracing::debug!(%error, "a connection broke while it was idle");
        }
        Poll::Ready(())
    }

    /// Times a body. Once its answer has begun the client may take the time it needs.
    fn keep_pace(&mut self, waits: bool, read: usize) {
        if waits && !self.watch.is_answered() {
            let now = Instant::now();
            let left = self.pace.wait(now, self.limits.body);
            self.watch.expect_within(now, left);
        } else if !waits {
            self.pace.come(Instant::now, read);
            if !self.watch.head_begun() {
                self.watch.expect_nothing();
            }
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while let End::Lingering { left: left @ 1.. } = &mut self.end {
            if self.watch.take_expired() {
                break;
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => *left = left.saturating_sub(buf.filled().len()),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            if this.ready > 0 {
                this.pass(buf);
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            match this.end {
                End::Open => {}
                End::Switched => return Pin::new(&mut this.io).poll_read(cx, buf),
                // hyper has all it will get; what it still asks for is whether the client is there.
                End::Refused | End::Lingering { .. } => return Poll::Pending,
                End::Broken(refusal) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
            }
            if this.framer.is_switching() {
                if !this.watch.has_switched() {
                    // Nothing wakes this: what comes next is a tunnel, which asks anew, or the end.
                    return Poll::Pending;
                }
                this.end = End::Switched;
                this.ready = this.held.len();
                continue;
            }
            if this.watch.take_expired() {
                if this.framer.in_body() {
                    this.refuse(Refusal::BodyTooSlow);
                } else if this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                } else {
                    this.refuse(Refusal::Deadline);
                }
                continue;
            }
            let in_body = this.framer.in_body();
            let polled = if this.held.is_empty() {
                this.poll_direct(cx, buf)
            } else {
                this.poll_held(cx, buf)
            };
            let between = polled.is_pending() && !in_body && this.held.is_empty();
            this.watch.set_between(between);
            if in_body {
                let read = (buf.filled().len() - before).max(this.ready);
                this.keep_pace(polled.is_pending(), read);
            }
            if !ready!(polled)? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.watch.set_flushed(false);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch.set_flushed(false);
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper asks for it when it has nothing left to write.
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.watch.set_flushed(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.end, End::Switched) {
            return Pin::new(&mut this.io).poll_shutdown(cx);
        }
        if !matches!(this.end, End::Lingering { .. }) {
            let ended = !this.framer.in_body() && !this.framer.is_switching();
            let nothing_to_come = matches!(this.end, End::Open) && ended;
            if nothing_to_come && !this.says_goodbye && !this.watch.is_over() {
                // The close that follows says the same.
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if nothing_to_come {
                return Poll::Ready(Ok(()));
            }
            this.end = End::Lingering { left: LINGER_BYTES };
            this.watch.expect_within(Instant::now(), LINGER);
        }
        this.poll_linger(cx).map(Ok)
    }
}

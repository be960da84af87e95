//! The watch over HTTP/2's frames, below hyper: what the h2 crate answers or forgets as often as it comes, and
//! so lets a client ask for without end.
//!
//! It reads the nine bytes before each payload (RFC 9113 section 4.1) and nothing else. A client with more frames
//! of a kind than its requests, the answers' bytes and the time call for gets a GOAWAY with ENHANCE_YOUR_CALM, and
//! the connection ends. Resets, CONTINUATIONs and heads are h2's own limits (`serve/h2.rs`); that a head has begun,
//! and that it has ended, is told from here.

mod allowance;
mod block;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::allowance::{Allowances, Kind};
use self::block::Block;

/// The connection preface (RFC 9113 section 3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;
const HEADERS: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 11;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("more frames of one kind than its requests and answers call for: {0:?}")]
pub(in crate::proxy) struct Flood(Kind);

/// What is told of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Event {
    /// There are too many frames of one kind. Told once.
    Flooded,
    /// A part of a head has come.
    HeadBegins,
    /// The rest of it has.
    HeadEnds,
}

/// A client's connection whose frames are counted.
#[derive(Debug)]
pub(in crate::proxy) struct Frames<S, F> {
    io: S,
    received: Walk,
    sent: Walk,
    last_stream: u32,
    allowances: Allowances,
    block: Block,
    tell: F,
    ended: bool,
}

impl<S, F: FnMut(Event)> Frames<S, F> {
    /// Of a connection that has just begun.
    pub(in crate::proxy) fn new(io: S, tell: F) -> Self {
        Self {
            io,
            received: Walk {
                skip: PREFACE,
                ..Walk::default()
            },
            sent: Walk::default(),
            last_stream: 0,
            allowances: Allowances::new(),
            block: Block::default(),
            tell,
            ended: false,
        }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let (allowances, last_stream, block) = (&mut self.allowances, &mut self.last_stream, &mut self.block);
        let mut judged = Ok(());
        self.received.follow(bytes, |head| {
            block.frame(head);
            if head.kind == HEADERS {
                *last_stream = head.stream.max(*last_stream);
                allowances.request();
            } else if let Some(kind) = Kind::of(head.kind, head.flags, head.length)
                && judged.is_ok()
            {
                judged = allowances.take(kind).map_err(|()| Flood(kind));
            }
        });
        judged
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.allowances.answer(bytes.len());
        self.sent.follow(bytes, |_| {});
    }
}

impl<S: AsyncWrite + Unpin, F> Frames<S, F> {
    /// Says why the connection ends, if that can be said now: between two frames, without waiting.
    fn take_leave(&mut self, cx: &mut Context<'_>) {
        if !self.sent.is_between() {
            return;
        }
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, ENHANCE_YOUR_CALM];
        if Pin::new(&mut self.io).poll_write(cx, &goaway).is_ready() {
            // It is said as well as it can be.
            _ = Pin::new(&mut self.io).poll_flush(cx);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: FnMut(Event) + Unpin> AsyncRead for Frames<S, F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        let counted = this.count(buf.filled().get(before..).unwrap_or_default());
        if let Err(flood) = counted {
            if !std::mem::replace(&mut this.ended, true) {
                (this.tell)(Event::Flooded);
                this.take_leave(cx);
            }
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, flood)));
        }
        if let Some(event) = this.block.change(this.received.skip == 0) {
            (this.tell)(event);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, F: FnMut(Event) + Unpin> AsyncWrite for Frames<S, F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, buf))?;
        this.wrote(buf.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, bufs))?;
        let mut left = written;
        for buf in bufs {
            let part = left.min(buf.len());
            this.wrote(buf.get(..part).unwrap_or_default());
            left -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Where one direction stands among its frames.
#[derive(Debug, Default)]
struct Walk {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes until the next head.
    skip: usize,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct FrameHead {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Walk {
    fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameHead)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let free = self.head.iter_mut().skip(self.have);
            let taken = free.zip(bytes).map(|(slot, byte)| *slot = *byte).count();
            self.have += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.have < HEAD {
                return;
            }
            self.have = 0;
            let [a, b, c, kind, flags, w, x, y, z] = self.head;
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            self.skip = length;
            each(FrameHead {
                length,
                kind,
                flags,
                stream: u32::from_be_bytes([w, x, y, z]) & (u32::MAX >> 1),
            });
        }
    }

    fn is_between(&self) -> bool {
        self.have == 0 && self.skip == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_the_bytes_come() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend([0, 0, 2, 4, 1, 0, 0, 0, 0, 9, 9]);
        bytes.extend([0, 0, 0, 1, 5, 0x80, 0, 0, 3]);
        bytes.extend([0, 1, 0, 0, 0, 0, 0, 0, 3]);
        bytes.extend([7; 256]);
        for piece in [1, 2, 5, 9, 40, 400] {
            let mut walk = Walk {
                skip: PREFACE,
                ..Walk::default()
            };
            let mut heads = Vec::new();
            for piece in bytes.chunks(piece) {
                walk.follow(piece, |head| {
                    heads.push((head.length, head.kind, head.flags, head.stream))
                });
            }
            assert_eq!(heads, [(2, 4, 1, 0), (0, 1, 5, 3), (256, 0, 0, 3)], "{piece}");
            assert!(walk.is_between());
            walk.follow(&[0], |_| {});
            assert!(!walk.is_between());
        }
    }
}

//! A request on its way: the head, and the body's pieces as the client sends them (RFC 9112 section 6).
//!
//! What is there at once goes out by one system call. One piece is under way at a time, so that a pod that takes
//! nothing holds the client back.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures::future::poll_fn;
use http::Method;
use tokio::io::AsyncWrite;

use super::request::RequestHead;
use super::stream::{Shared, Stream};
use crate::proxy::deadline::Deadline;
use crate::proxy::forward::{BodyError, RequestBody};

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A body on its way.
#[derive(Debug)]
pub(in crate::proxy) struct Outgoing {
    /// `None`: its last piece was taken.
    body: Option<RequestBody>,
    /// Bytes that the head has promised and that have not come; `None`: it goes in chunks.
    left: Option<u64>,
    /// The size of the chunk under way.
    line: Line,
    piece: Bytes,
    /// What ends the chunk under way, or the body.
    tail: &'static [u8],
}

/// A request on its way over one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Sending<'a> {
    head: &'a RequestHead,
    /// What of the head was not sent.
    unsent: &'a [u8],
    outgoing: Outgoing,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    UnderWay,
    /// Sent to its end.
    Sent,
    /// The pod takes no more.
    Broken,
}

/// A chunk's size in hexadecimal digits, with its line end.
#[derive(Debug, Default)]
struct Line {
    bytes: [u8; 18],
    from: usize,
    to: usize,
}

/// Why a request was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Line {
    fn of(size: usize) -> io::Result<Self> {
        let mut line = Self::default();
        let mut free = line.bytes.as_mut_slice();
        write!(free, "{size:x}\r\n")?;
        line.to = 18 - free.len();
        Ok(line)
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }
}

/// Takes what was written off the front of `bytes`.
fn take(bytes: &mut &[u8], written: &mut usize) {
    let (gone, rest) = bytes.split_at(bytes.len().min(*written));
    *written -= gone.len();
    *bytes = rest;
}

impl Outgoing {
    pub(in crate::proxy) fn new(body: RequestBody) -> Self {
        let left = body.length();
        Self {
            body: (left != Some(0)).then_some(body),
            left,
            line: Line::default(),
            piece: Bytes::new(),
            tail: b"",
        }
    }

    /// Takes the client's next piece. False: there is none any more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, SendError>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Ok(false));
        };
        let Some(piece) = ready!(body.poll_piece(cx))? else {
            self.body = None;
            if self.left.is_some() {
                return Poll::Ready(Err(BodyError::Length.into()));
            }
            self.tail = LAST_CHUNK;
            return Poll::Ready(Ok(true));
        };
        if let Some(left) = &mut self.left {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(length).ok_or(BodyError::Length)?;
            if *left == 0 {
                self.body = None;
            }
        } else if !piece.is_empty() {
            self.line = Line::of(piece.len())?;
            self.tail = b"\r\n";
        }
        self.piece = piece;
        Poll::Ready(Ok(true))
    }

    fn is_between(&self) -> bool {
        self.line.rest().is_empty() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Whether all that has come of the body was sent, and more is to come.
    fn is_starved(&self) -> bool {
        self.body.is_some() && self.is_between()
    }

    /// Sends `head` and the body, as far as either has come. Ready at the end.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut &[u8],
        stream: &mut Stream,
    ) -> Poll<Result<(), SendError>> {
        loop {
            if self.is_between() {
                match self.poll_next(cx)? {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) if head.is_empty() => {
                        return Pin::new(stream).poll_flush(cx).map_err(SendError::Io);
                    }
                    Poll::Pending if head.is_empty() => {
                        ready!(Pin::new(stream).poll_flush(cx))?;
                        return Poll::Pending;
                    }
                    Poll::Ready(false) | Poll::Pending => {}
                }
            }
            let mut written = ready!(self.poll_write(cx, head, stream))?;
            if written == 0 && !self.is_between() {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            take(head, &mut written);
            let of_line = written.min(self.line.rest().len());
            self.line.from += of_line;
            written -= of_line;
            let of_piece = written.min(self.piece.len());
            self.piece.advance(of_piece);
            written -= of_piece;
            take(&mut self.tail, &mut written);
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, head: &[u8], stream: &mut Stream) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.is_between() {
            // send(2) takes a shorter way through the kernel than writev(2).
            return stream.poll_write(cx, head);
        }
        let parts = [head, self.line.rest(), &self.piece, self.tail].map(IoSlice::new);
        stream.poll_write_vectored(cx, &parts)
    }

    /// Sends the rest while somebody else reads the answer. A pod that takes nothing of it for `patience` gets no more.
    pub(super) async fn finish(mut self, shared: Rc<Shared>, patience: Duration) {
        let mut deadline = Deadline::new(Instant::now() + patience);
        let mut late = false;
        let sent = poll_fn(|cx| {
            loop {
                let polled = shared.poll_with(|stream| self.poll(cx, &mut &[][..], stream));
                if let Poll::Ready(sent) = polled {
                    return Poll::Ready(sent.is_ok());
                }
                // Whatever else woke us was progress, or the client's.
                if !late || self.is_starved() {
                    deadline.set(Instant::now() + patience);
                }
                late = deadline.poll(cx).is_ready();
                if !late {
                    return Poll::Pending;
                }
                if !self.is_starved() {
                    return Poll::Ready(false);
                }
            }
        });
        if sent.await {
            shared.is_done();
        }
    }
}

impl<'a> Sending<'a> {
    pub(in crate::proxy) fn new(head: &'a RequestHead, outgoing: Outgoing) -> Self {
        Self {
            head,
            unsent: head.bytes(),
            outgoing,
            state: State::UnderWay,
        }
    }

    /// Whether the answer has no body whatever it says.
    pub(super) fn is_bodiless(&self) -> bool {
        *self.head.method() == Method::HEAD
    }

    /// Whether anything was sent.
    pub(super) fn has_begun(&self) -> bool {
        self.unsent.len() < self.head.bytes().len()
    }

    /// Sends what has come. That the pod takes no more is an error only if it took nothing: else its answer says more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Result<(), SendError> {
        if self.state != State::UnderWay {
            return Ok(());
        }
        self.state = match self.outgoing.poll(cx, &mut self.unsent, stream) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) => State::Sent,
            Poll::Ready(Err(SendError::Io(_))) if self.has_begun() => State::Broken,
            Poll::Ready(Err(error)) => return Err(error),
        };
        Ok(())
    }

    /// The body, for another try: nothing was sent.
    pub(in crate::proxy) fn give_back(self) -> Outgoing {
        self.outgoing
    }

    /// Whether all of it was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    /// What is left of the body, if the pod may still want it.
    pub(super) fn rest(self) -> Option<Outgoing> {
        (self.state == State::UnderWay && self.unsent.is_empty()).then_some(self.outgoing)
    }
}

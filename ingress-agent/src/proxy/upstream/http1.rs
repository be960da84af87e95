//! A client of HTTP/1.1 (RFC 9112) to one pod, driven by the request that uses it: no task, no channel.
//!
//! ```text
//! request ──▶ RequestHead, Outgoing ──▶ Sending ──▶ Stream ──▶ pod
//! answer  ◀── Decoder ◀── answer::parse ◀── input ◀── Stream ◀── pod
//! ```
//!
//! Only the rest of a body whose answer has begun is sent by a task of its own: the client may read nothing before
//! it has sent all.

mod answer;
mod decoder;
mod request;
mod sending;
mod stream;
mod switched;

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::poll_fn;
use http::{Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_local;

use self::answer::MAX_HEAD;
pub(in crate::proxy) use self::answer::Malformed;
use self::decoder::Decoder;
pub(in crate::proxy) use self::request::RequestHead;
use self::sending::SendError;
pub(in crate::proxy) use self::sending::{Outgoing, Sending};
pub(in crate::proxy::upstream) use self::stream::Stream;
pub(in crate::proxy) use self::switched::Switched;
use super::endpoint::InFlight;
use crate::proxy::deadline::Deadline;
use crate::proxy::forward::BodyError;

/// What a read asks for that looks for a head, and the least that one asks for that looks for a body. Most answers
/// fit in it, and a larger block costs the allocator more.
const LEAST: usize = 4 * 1024;
/// What a read asks for where so much is to come, and the most where the client is not quick: so much of an answer
/// is held while it takes nothing.
const USUAL: usize = 64 * 1024;
/// The most for a client that is quick. Copying 1 MiB takes a third of the system calls then.
const MOST: usize = 256 * 1024;
/// Interim answers that one answer may have. Reading them would else never end, nor would its deadline be looked at.
const MAX_INTERIM: u32 = 100;

/// A connection that carries one request at a time. Boxed, as it moves with every request.
#[derive(Debug)]
pub(in crate::proxy) struct Connection {
    stream: Stream,
    /// What was read and not taken yet.
    input: BytesMut,
    /// How many bytes of `input` hold no whole head.
    searched: usize,
    /// How many interim answers have come.
    interim: u32,
    /// How much the next read asks for, where nothing else says it: more each time that the last one was filled.
    appetite: usize,
    /// What is to come of the answer.
    body: Decoder,
    /// Whether it may carry another request once the answer has been taken.
    persistent: bool,
    /// When the pod has been silent for too long; also the connection's only timer.
    pub(in crate::proxy) deadline: Deadline,
    /// How long the pod may be silent, as the request's route has it.
    pub(in crate::proxy) silence: Duration,
    /// Whether it has carried a request before, so that the pod may have given it up meanwhile.
    pub(super) reused: bool,
    /// The request it carries; `None`: it is idle.
    pub(super) in_flight: Option<InFlight>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum AskError {
    #[error("the connection ended before anything was sent: {0}")]
    Unsent(io::Error),
    #[error("the connection ended without an answer: {0}")]
    Lost(io::Error),
    #[error("no answer: {0}")]
    Malformed(#[from] Malformed),
    #[error("the client's body: {0}")]
    Body(BodyError),
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum BrokenOff {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Connection {
    /// One that has carried nothing yet; its timer is set when it carries something.
    pub(super) fn new(stream: Stream, limit: Duration) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::new(),
            searched: 0,
            interim: 0,
            appetite: LEAST,
            body: Decoder::DONE,
            persistent: true,
            deadline: Deadline::new(Instant::now() + limit),
            silence: limit,
            reused: false,
            in_flight: None,
        })
    }

    /// Sends the request as far as it has come, and waits for the head of its answer. The rest of either comes later.
    pub(in crate::proxy) fn poll_ask(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending<'_>,
    ) -> Poll<Result<Response<()>, AskError>> {
        sending.poll(cx, &mut self.stream).map_err(|error| match error {
            SendError::Body(error) => AskError::Body(error),
            SendError::Io(error) => AskError::Unsent(error),
        })?;
        if !sending.has_begun() {
            return Poll::Pending;
        }
        loop {
            match ready!(self.poll_fill(cx, LEAST)) {
                Ok(0) => return Poll::Ready(Err(AskError::Lost(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(AskError::Lost(error))),
            }
            if let Some(response) = self.take_head(sending.is_bodiless())? {
                return Poll::Ready(Ok(response));
            }
        }
    }

    /// As [`Connection::poll_ask`].
    pub(super) async fn ask(&mut self, mut sending: Sending<'_>) -> Result<Response<()>, AskError> {
        poll_fn(|cx| self.poll_ask(cx, &mut sending)).await
    }

    /// The head of the answer, if it has come. Those before it, with a status of 1xx, are the connection's own.
    fn take_head(&mut self, bodiless: bool) -> Result<Option<Response<()>>, Malformed> {
        loop {
            let new = self.input.get(self.searched..).unwrap_or_default();
            // A head has not come whole without another line end; its first bytes are always looked at.
            let may_be_whole = self.searched == 0 || memchr::memchr(b'\n', new).is_some();
            let head = if may_be_whole {
                answer::parse(&self.input, bodiless)?
            } else {
                None
            };
            let size = head.as_ref().map_or(self.input.len(), |head| head.size);
            if size > MAX_HEAD || (head.is_none() && size == MAX_HEAD) {
                return Err(Malformed::TooLarge);
            }
            let Some(head) = head else {
                self.searched = size;
                return Ok(None);
            };
            self.input.advance(size);
            self.searched = 0;
            let status = head.response.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                self.interim = 0;
                self.body = Decoder::new(head.length);
                self.appetite = LEAST;
                self.persistent = head.persistent && status != StatusCode::SWITCHING_PROTOCOLS;
                return Ok(Some(head.response));
            }
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Malformed::TooManyInterim);
            }
        }
    }

    /// The next piece of the answer's body; `None`: its end. `eager`: the client took the last one at once.
    pub(in crate::proxy) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        eager: bool,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if !eager {
            self.appetite = self.appetite.min(USUAL);
        }
        loop {
            match self.body.take(&mut self.input) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.body.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            let appetite = match self.body.left() {
                // A little more, so that a read that brings all of it shows that there is no more.
                Some(left) => {
                    let left = usize::try_from(left).unwrap_or(MOST).saturating_add(1);
                    self.appetite.max(USUAL).min(left)
                }
                None => self.appetite,
            };
            match ready!(self.poll_fill(cx, appetite)) {
                Ok(0) if self.body.close() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(BrokenOff::Closed))),
                Ok(count) if count >= appetite => self.appetite = (2 * appetite).min(MOST),
                // The piece keeps all that was asked for.
                Ok(count) if count < appetite / 4 => self.appetite = (appetite / 2).max(LEAST),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether nothing is to come of the answer's body.
    pub(in crate::proxy) fn is_answered(&self) -> bool {
        self.body.is_done()
    }

    /// The bytes that are to come of the answer's body, if that is known.
    pub(in crate::proxy) fn left(&self) -> Option<u64> {
        self.body.left()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, appetite: usize) -> Poll<io::Result<usize>> {
        self.input.reserve(appetite);
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    /// The answer has begun. The rest of the request, if there is one, is sent while the answer is read; a pod that
    /// takes nothing of it for `patience` gets no more.
    pub(super) fn answered(mut self: Box<Self>, sending: Sending<'_>, patience: Duration) -> Box<Self> {
        if sending.is_sent() {
            return self;
        }
        let Some(rest) = sending.rest() else {
            self.let_go();
            return self;
        };
        let connection = *self;
        let shared = connection.stream.share();
        spawn_local(rest.finish(Rc::clone(&shared), patience));
        Box::new(Self {
            stream: Stream::Shared(shared),
            ..connection
        })
    }

    /// It carries no other request.
    pub(in crate::proxy) fn let_go(&mut self) {
        self.persistent = false;
    }

    /// Whether it can carry another request: the last one and its answer are complete, and nothing came after it.
    pub(super) fn is_free(&self) -> bool {
        self.persistent && self.body.is_done() && self.input.is_empty() && self.stream.is_own()
    }

    /// Holds no buffer from here on.
    pub(super) fn shrink(&mut self) {
        self.input = BytesMut::new();
        self.appetite = LEAST;
    }

    /// Whether the pod has kept it open and said nothing, as far as the runtime has heard. Costs a system call only
    /// where it has.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [0];
        pin!(self.stream.read(&mut byte)).poll(&mut cx).is_pending()
    }

    /// The bytes both ways, once the pod has agreed to another protocol. It is no request under way any more.
    pub(in crate::proxy) fn switch(self) -> Switched {
        Switched::new(self.input, self.stream)
    }
}

#[cfg(test)]
mod tests;

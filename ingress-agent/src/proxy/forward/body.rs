//! Bodies in both directions: streamed, counted, without trailers.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::proxy::access::{End, Record};
use crate::proxy::deadline::Deadline;
use crate::proxy::guard::Refusal;
use crate::proxy::guard::pace::Pace;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::upstream::Connection;

/// A client's body on its way to a pod.
#[derive(Debug)]
pub(in crate::proxy) struct RequestBody {
    /// `None`: there is no body.
    streamed: Option<Streamed>,
}

#[derive(Debug)]
struct Streamed {
    body: Incoming,
    progress: Rc<Progress>,
    /// How many bytes the route still allows.
    left: u64,
    /// `None`: the guard times it.
    pacer: Option<Pacer>,
}

/// Times a body of HTTP/2, whose bytes come in turns with those of others.
#[derive(Debug)]
struct Pacer {
    pace: Pace,
    /// How long it is waited for in any case.
    grace: Duration,
    /// Set with the first wait.
    deadline: Option<Deadline>,
}

impl Pacer {
    /// Nothing is there. Ready once the client is too slow.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let left = self.pace.wait(now, self.grace);
        if left.is_zero() {
            return Poll::Ready(());
        }
        let due = now + left;
        let deadline = self.deadline.get_or_insert_with(|| Deadline::new(due));
        deadline.set(due);
        deadline.poll(cx)
    }
}

/// Why a client's body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum BodyError {
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("{0}")]
    Refused(Refusal),
}

/// How far a client's body has come.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Progress {
    last: Cell<Option<Instant>>,
    done: Cell<bool>,
    answered: Cell<bool>,
    fault: Cell<Option<Refusal>>,
}

impl Progress {
    /// When its last piece, or its end, was taken.
    pub(in crate::proxy) fn last(&self) -> Option<Instant> {
        self.last.get()
    }

    /// Whether it was taken to its end.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Its answer has begun: the rest may take its time.
    pub(in crate::proxy) fn answer_begins(&self) {
        self.answered.set(true);
    }

    /// Why the body was not read to its end, if that is the client's fault.
    pub(in crate::proxy) fn fault(&self) -> Option<Refusal> {
        self.fault.get()
    }
}

impl Streamed {
    fn refuse(&self, refusal: Refusal) -> BodyError {
        self.progress.fault.set(Some(refusal));
        BodyError::Refused(refusal)
    }

    /// Takes a piece off what the route allows.
    fn count(&mut self, piece: usize) -> Result<(), BodyError> {
        let left = self.left.checked_sub(u64::try_from(piece).unwrap_or(u64::MAX));
        self.left = left.ok_or_else(|| self.refuse(Refusal::BodyTooLarge))?;
        Ok(())
    }
}

impl RequestBody {
    /// A body of at most `limit` bytes. One that nobody else times is waited for `grace` at least, and then comes
    /// at its least rate until its answer begins.
    pub(in crate::proxy) fn new(
        body: Incoming,
        limit: u64,
        grace: Option<Duration>,
    ) -> (Self, Option<Rc<Progress>>) {
        if body.is_end_stream() {
            return (Self::empty(), None);
        }
        let progress = Rc::new(Progress::default());
        let streamed = Streamed {
            body,
            progress: Rc::clone(&progress),
            left: limit,
            pacer: grace.map(|grace| Pacer {
                pace: Pace::default(),
                grace,
                deadline: None,
            }),
        };
        let streamed = Some(streamed);
        (Self { streamed }, Some(progress))
    }

    pub(in crate::proxy) fn empty() -> Self {
        Self { streamed: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(streamed) = &mut self.streamed else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut streamed.body).poll_frame(cx);
        let progress = &streamed.progress;
        if polled.is_ready() {
            progress.last.set(Some(Instant::now()));
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                if let Some(pacer) = &mut streamed.pacer {
                    pacer.pace.come(Instant::now, length);
                }
                Poll::Ready(Some(streamed.count(length).map(|()| frame)))
            }
            // Trailers are not passed on: hyper does not refuse framing fields among them.
            Poll::Ready(Some(Ok(_)) | None) => {
                progress.done.set(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Pending => {
                let timed = streamed.pacer.as_mut().filter(|_| !progress.answered.get());
                if let Some(pacer) = timed {
                    std::task::ready!(pacer.wait(cx));
                    return Poll::Ready(Some(Err(streamed.refuse(Refusal::BodyTooSlow))));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.streamed
            .as_ref()
            .is_none_or(|streamed| streamed.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.streamed.as_ref().map(|streamed| streamed.body.size_hint());
        hint.unwrap_or_else(|| SizeHint::with_exact(0))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(streamed) = &self.streamed
            && streamed.body.is_end_stream()
        {
            streamed.progress.done.set(true);
        }
    }
}

/// An answer's body on its way to the client. Dropping it ends the request.
#[derive(Debug)]
pub(in crate::proxy) struct ResponseBody {
    source: Source,
    /// `None`: the connection becomes a tunnel, and the record goes with it.
    record: Option<Record>,
}

/// Where an answer's body comes from.
#[derive(Debug)]
pub(in crate::proxy) enum Source {
    /// The agent itself.
    Own(Option<Bytes>),
    /// The pod.
    Pod(Relay),
    /// Nowhere: the connection becomes a tunnel.
    Switched(Box<Tunnel>),
}

impl Source {
    pub(super) fn own(bytes: Bytes) -> Self {
        Self::Own(Some(bytes))
    }

    /// Without the agent's own body.
    pub(super) fn without_own(self) -> Self {
        match self {
            Self::Own(_) => Self::Own(None),
            Self::Pod(_) | Self::Switched(_) => self,
        }
    }
}

/// A pod's body, and the connection it comes over.
#[derive(Debug)]
pub(in crate::proxy) struct Relay {
    body: Incoming,
    connection: Option<Box<Connection>>,
    /// The client's body, if it has one.
    progress: Option<Rc<Progress>>,
    /// Whether the connection ends with this answer.
    last: bool,
    /// Whether the pod's silence is being timed.
    waiting: bool,
    done: bool,
}

/// Why a pod's body ends before its end. The client sees the connection break.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum RelayError {
    #[error("the pod's body broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the pod fell silent within its body")]
    Timeout,
}

impl Relay {
    pub(super) fn new(body: Incoming, connection: Box<Connection>, progress: Option<Rc<Progress>>) -> Self {
        Self {
            body,
            connection: Some(connection),
            progress,
            last: false,
            waiting: false,
            done: false,
        }
    }

    /// The pod's connection is not used again.
    pub(super) fn let_go(&mut self) {
        self.last = true;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                self.waiting = false;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Ok(_)) | None) => {
                self.done = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Pending => {
                if !std::mem::replace(&mut self.waiting, true) {
                    connection.deadline.set(Instant::now() + connection.silence);
                }
                connection
                    .deadline
                    .poll(cx)
                    .map(|()| Some(Err(RelayError::Timeout)))
            }
        }
    }

    /// Gives the connection back if request and answer are both complete; else it is closed.
    fn end(&mut self, record: &mut Record) {
        if record.end == End::UpstreamBroken || !(self.done || self.body.is_end_stream()) {
            return;
        }
        record.end = End::Complete;
        let sent = self.progress.as_ref().is_none_or(|progress| progress.done.get()) && !self.last;
        if let Some(connection) = self.connection.take().filter(|_| sent) {
            record.client.worker.registry.put(connection);
        }
    }
}

impl ResponseBody {
    pub(super) fn new(source: Source, mut record: Record) -> Self {
        let source = match source {
            Source::Switched(tunnel) => {
                let client = Rc::clone(&record.client);
                client.become_tunnel(*tunnel, record);
                return Self {
                    source: Source::Own(None),
                    record: None,
                };
            }
            Source::Own(_) => {
                record.end = End::Complete;
                source
            }
            Source::Pod(_) => source,
        };
        Self {
            source,
            record: Some(record),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        let Some(record) = &mut this.record else {
            return Poll::Ready(None);
        };
        let polled = match &mut this.source {
            Source::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Pod(relay) => relay.poll(cx),
            Source::Switched(_) => Poll::Ready(None),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let length = u64::try_from(length).unwrap_or_default();
                record.bytes += length;
                record.client.note_body(Some(length));
            }
            Poll::Ready(Some(Err(_))) => record.end = End::UpstreamBroken,
            Poll::Ready(None) => {}
            Poll::Pending => record.client.note_body(None),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Switched(_) => true,
            Source::Pod(relay) => relay.done || relay.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Pod(relay) => relay.body.size_hint(),
            Source::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let (Source::Pod(relay), Some(record)) = (&mut self.source, &mut self.record) {
            relay.end(record);
        }
    }
}

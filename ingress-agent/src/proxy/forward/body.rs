//! An answer's body: streamed and counted.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::upload::Upload;
use crate::proxy::access::{End, Record};
use crate::proxy::tunnel::Tunnel;
use crate::proxy::upstream::{BrokenOff, Connection};
use crate::proxy::watch::Watch;

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

/// A pod's body, by the connection it comes over.
#[derive(Debug)]
pub(in crate::proxy) struct Relay {
    connection: Box<Connection>,
    /// The client's body, if it has one.
    upload: Option<Rc<Upload>>,
    /// Whether a quick client is to be fed in large pieces.
    feeds: bool,
    /// Whether the pod's silence is being timed.
    waiting: bool,
    /// Why there is no more.
    broken: Option<BrokenOff>,
}

/// Why a pod's body ends before its end. The client sees the connection break.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum RelayError {
    #[error("the pod's body broke off: {0}")]
    Broken(#[from] BrokenOff),
    #[error("the pod fell silent within its body")]
    Timeout,
}

impl Relay {
    pub(super) fn new(connection: Box<Connection>, upload: Option<Rc<Upload>>, feeds: bool) -> Self {
        Self {
            connection,
            upload,
            feeds,
            waiting: false,
            broken: None,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        watch: &Watch,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken.into())));
        }
        let connection = &mut self.connection;
        let eager = self.feeds && !watch.take_waited();
        match connection.poll_body(cx, eager) {
            Poll::Ready(Some(Err(broken))) => {
                // hyper writes what has come before when there is nothing else to do.
                self.broken = Some(broken);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(piece))) => {
                self.waiting = false;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                if !std::mem::replace(&mut self.waiting, true) {
                    connection.deadline.set(Instant::now() + connection.silence);
                }
                while connection.deadline.poll(cx).is_ready() {
                    // The pod may be waiting for the rest of a slow client's body.
                    if !self.upload.as_ref().is_some_and(|upload| upload.is_starved()) {
                        return Poll::Ready(Some(Err(RelayError::Timeout)));
                    }
                    connection.deadline.set(Instant::now() + connection.silence);
                }
                Poll::Pending
            }
        }
    }

    /// Gives the connection back if request and answer are both complete; else it is closed.
    fn end(self, record: &mut Record) {
        if record.end == End::UpstreamBroken || !self.connection.is_answered() {
            return;
        }
        record.end = End::Complete;
        if self.upload.is_none_or(|upload| upload.is_done()) {
            record.client.worker.registry.put(self.connection);
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
            Source::Pod(relay) => relay.poll(cx, &record.client.watch),
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
            Source::Pod(relay) => relay.connection.is_answered(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Pod(relay) => relay
                .connection
                .left()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
            Source::Switched(_) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let source = std::mem::replace(&mut self.source, Source::Own(None));
        if let (Source::Pod(relay), Some(record)) = (source, &mut self.record) {
            relay.end(record);
        }
    }
}

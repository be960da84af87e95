//! The bytes of a connection to a pod, in clear or over TLS.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A transport that is not plain TCP.
pub(in crate::proxy::upstream) trait Layer:
    AsyncRead + AsyncWrite + Debug + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Debug + Unpin> Layer for T {}

/// A stream to a pod.
#[derive(Debug)]
pub(in crate::proxy::upstream) enum Stream {
    Plain(TcpStream),
    Layered(Box<dyn Layer>),
    /// The rest of a request is sent over it while its answer is read.
    Shared(Rc<Shared>),
}

/// What the two directions of a connection share.
#[derive(Debug)]
pub(in crate::proxy::upstream) struct Shared {
    stream: RefCell<Stream>,
    /// Whether the request was sent to its end.
    sent: Cell<bool>,
}

impl Shared {
    pub(super) fn poll_with<T>(&self, poll: impl FnOnce(&mut Stream) -> Poll<T>) -> Poll<T> {
        poll(&mut self.stream.borrow_mut())
    }

    /// The request was sent to its end.
    pub(super) fn is_done(&self) {
        self.sent.set(true);
    }
}

impl Stream {
    /// Makes it one that another task can write to, which is to say when it has.
    pub(super) fn share(self) -> Rc<Shared> {
        if let Self::Shared(shared) = self {
            shared.sent.set(false);
            return shared;
        }
        Rc::new(Shared {
            stream: RefCell::new(self),
            sent: Cell::new(false),
        })
    }

    /// Whether nobody else writes to it.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Layered(_) => true,
            Self::Shared(shared) => shared.sent.get(),
        }
    }

    fn with<T>(&mut self, poll: impl FnOnce(Pin<&mut dyn Layer>) -> Poll<T>) -> Poll<T> {
        match self {
            Self::Plain(io) => poll(Pin::new(io)),
            Self::Layered(io) => poll(Pin::new(io)),
            Self::Shared(shared) => shared.stream.borrow_mut().with(poll),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            other @ (Self::Layered(_) | Self::Shared(_)) => other.with(|io| io.poll_read(cx, buf)),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            other @ (Self::Layered(_) | Self::Shared(_)) => other.with(|io| io.poll_write(cx, buf)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().with(|io| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // There is nothing to flush.
            Self::Plain(_) => Poll::Ready(Ok(())),
            other @ (Self::Layered(_) | Self::Shared(_)) => other.with(|io| io.poll_flush(cx)),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().with(|io| io.poll_shutdown(cx))
    }
}

//! A connection that has changed its protocol (RFC 9110 section 7.8): bytes both ways, until an end or silence.
//!
//! It holds the request's record and through it the rule, never the table.

mod frames;

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::future::{Either, poll_fn, select};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use self::frames::{Frames, GOING_AWAY};
use super::access::{End, Record};
use super::deadline::Deadline;
use super::upstream::{Connection, Switched};

/// Both ends, before hyper has let go of the client's.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    /// The pod's connection, which is nobody else's any more.
    pub(super) pod: Box<Connection>,
    /// How long both may be silent (`proxy-read-timeout`).
    pub(super) idle: Duration,
    /// Whether it carries WebSocket frames, so that the client can be told why it ends.
    pub(super) websocket: bool,
}

impl Tunnel {
    /// Carries bytes until both directions have ended, one has failed, both were silent for too long, or a drain's
    /// time is up.
    pub(super) async fn run(self, mut record: Record) {
        let client = match self.client.await {
            Ok(client) => client,
            Err(error) => {
                tracing::debug!(peer = %record.client.peer, %error, "an upgrade came to nothing");
                return;
            }
        };
        let (sent, received) = (Cell::new(0), Cell::new(0));
        let mut client = Framed {
            io: TokioIo::new(client),
            frames: self.websocket.then(Frames::default),
        };
        let mut pod = Counted {
            io: (*self.pod).switch(),
            sent: &sent,
            received: &received,
        };
        let mut seen = (0, 0);
        let mut deadline = Deadline::new(Instant::now() + self.idle);
        let silence = poll_fn(|cx| {
            while deadline.poll(cx).is_ready() {
                let now = (sent.get(), received.get());
                if std::mem::replace(&mut seen, now) == now {
                    return Poll::Ready(());
                }
                deadline.set(Instant::now() + self.idle);
            }
            Poll::Pending
        });
        let mut farewell = record.client.worker.open.farewell();
        let ended = {
            let copied = pin!(copy_bidirectional(&mut client, &mut pod));
            // An error says that the worker has ended.
            let cut = pin!(farewell.wait_for(|&said| said));
            match select(copied, select(silence, cut)).await {
                Either::Left((copied, _)) => copied.map(|_| End::Complete),
                Either::Right((Either::Left(_), _)) => Ok(End::Complete),
                Either::Right((Either::Right(_), _)) => Ok(End::ClientGone),
            }
        };
        if matches!(ended, Ok(End::ClientGone)) {
            client.take_leave().await;
        }
        record.bytes = received.get();
        match ended {
            Ok(end) => record.end = end,
            Err(error) => tracing::debug!(peer = %record.client.peer, %error, "a tunnel broke"),
        }
    }
}

/// The client's end, whose frames are followed.
struct Framed {
    io: TokioIo<Upgraded>,
    frames: Option<Frames>,
}

impl Framed {
    /// Says that the server goes away, where the client can read it as that.
    async fn take_leave(&mut self) {
        if self.frames.as_ref().is_some_and(Frames::is_between) {
            // Who cannot hear it sees the connection's end.
            _ = self.io.write_all(&GOING_AWAY).await;
            _ = self.io.shutdown().await;
        }
    }
}

impl AsyncRead for Framed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Framed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        if let Some(frames) = &mut self.frames {
            frames.follow(buf.get(..written).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The pod's end, which counts.
struct Counted<'a> {
    io: Switched,
    sent: &'a Cell<u64>,
    received: &'a Cell<u64>,
}

fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get() + u64::try_from(bytes).unwrap_or_default());
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        add(self.received, buf.filled().len() - before);
        read
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            add(self.sent, *count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

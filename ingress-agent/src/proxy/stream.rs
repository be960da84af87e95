//! A client's socket, below TLS: how long an answer waits to be taken is timed here.
//!
//! A write that the kernel has no room for starts the clock, the next that it takes stops it: a client that has
//! nothing to be written to, as one of server-sent events between two events, is never late. Meanwhile what the
//! client acknowledges counts: the kernel makes room in steps that a slow one takes long to fill.

mod stall;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use self::stall::{Stall, unacknowledged};
use super::deadline::Deadline;
use super::watch::Watch;

/// A client's connection as the kernel has it.
#[derive(Debug)]
pub(super) struct ClientStream {
    io: TcpStream,
    watch: Arc<Watch>,
    /// How long a client may take too little of what waits.
    patience: Duration,
    /// While a write waits.
    stall: Option<Stall>,
    /// Of the last stall; there is none before the first.
    timer: Option<Deadline>,
}

impl ClientStream {
    pub(super) fn new(io: TcpStream, patience: Duration, watch: Arc<Watch>) -> Self {
        Self {
            io,
            watch,
            patience,
            stall: None,
            timer: None,
        }
    }

    /// Times a write by its outcome: one that has waited for too long fails, and the connection is given up.
    fn time(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        // A tunnel has a limit of its own, for both directions.
        if self.watch.has_switched() {
            return Poll::Pending;
        }
        self.watch.write_waits();
        let stall = match self.stall.take() {
            Some(stall) => stall,
            None => Stall::begin(Instant::now(), unacknowledged(&self.io)?),
        };
        let stall = self.stall.insert(stall);
        let due = stall.due(self.patience);
        let timer = self.timer.get_or_insert_with(|| Deadline::new(due));
        timer.set(due);
        while timer.poll(cx).is_ready() {
            if stall.is_over(Instant::now(), unacknowledged(&self.io)?, self.patience) {
                self.watch.give_up();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            timer.set(stall.due(self.patience));
        }
        Poll::Pending
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.watch.is_given_up() {
            // Else the kernel would keep what the client does not take, for minutes. Without it the close is an
            // ordinary one.
            _ = self.io.set_zero_linger();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.time(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.time(written, cx)
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

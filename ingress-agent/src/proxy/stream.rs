//! A client's socket, below TLS: how long an answer waits to be taken is timed here.
//!
//! A write that the kernel has no room for starts the clock, the next that it takes stops it: a client that has
//! nothing to be written to, as one of server-sent events between two events, is never late. Meanwhile what the
//! client acknowledges counts: the kernel makes room in steps that a slow one takes long to fill.

mod socket;
mod stall;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use self::socket::Socket;
use self::stall::{Stall, unacknowledged};
use super::deadline::Deadline;
use super::watch::Watch;

/// A client's connection as the kernel has it.
#[derive(Debug)]
pub(super) struct ClientStream {
    io: Socket,
    watch: Arc<Watch>,
    /// How long a client may take too little of what waits.
    patience: Duration,
    /// While a write waits.
    stall: Option<Stall>,
    /// Of the last stall; there is none before the first.
    timer: Option<Deadline>,
}

impl ClientStream {
    pub(super) fn new(io: Socket, patience: Duration, watch: Arc<Watch>) -> Self {
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
            None => Stall::begin(Instant::now(), unacknowledged(self.io.fd()?)?),
        };
        let stall = self.stall.insert(stall);
        let due = stall.due(self.patience);
        let timer = self.timer.get_or_insert_with(|| Deadline::new(due));
        timer.set(due);
        while timer.poll(cx).is_ready() {
            if stall.is_over(Instant::now(), unacknowledged(self.io.fd()?)?, self.patience) {
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
            _ = self.io.reset_on_close();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let deaf = self.watch.may_be_deaf();
        let read = self.io.poll_read(cx, buf, deaf);
        if read.is_pending() {
            self.watch.set_deaf(deaf);
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What the end follows goes with it: a packet less to send, to receive and to acknowledge.
        let ends = self.watch.is_over();
        let written = self.io.poll_write(cx, bufs, ends);
        self.time(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_shutdown(cx)
    }
}

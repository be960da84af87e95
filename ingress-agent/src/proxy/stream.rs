//! A client's socket, below TLS: how long an answer waits to be taken is timed here.
//!
//! A write that the kernel has no room for starts the clock of [`Watch`], the next byte that it takes stops it: a
//! client that has nothing to be written to, as one of server-sent events between two events, is never late. The
//! listener's `TCP_NOTSENT_LOWAT` bounds what waits in the kernel, so that progress is seen in small steps.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::watch::Watch;

/// A client's connection as the kernel has it.
#[derive(Debug)]
pub(super) struct ClientStream {
    io: TcpStream,
    watch: Arc<Watch>,
    /// How long a write may wait.
    patience: Duration,
}

impl ClientStream {
    pub(super) fn new(io: TcpStream, patience: Duration, watch: Arc<Watch>) -> Self {
        Self { io, watch, patience }
    }

    fn note<T>(&self, written: &Poll<T>) {
        if written.is_pending() {
            self.watch.write_waits(self.patience);
        } else {
            self.watch.write_moves();
        }
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
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
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

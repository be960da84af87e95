//! A client's socket, which the runtime gets to know only when it has to be waited for.
//!
//! A connection that asks once mostly has its request there when it is accepted, and its answer goes out at once: it is
//! read, written and closed without the four visits to epoll that a socket costs which is waited for.

use std::io;
use std::mem::MaybeUninit;
use std::net;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How much is read at once while the runtime does not know the socket.
const FIRST: usize = 4096;
/// How much is thrown away before the end of a socket that the runtime does not know.
const LEFT_OVER: usize = 64 * 1024;

/// Of a socket that the runtime refused to know: it is closed.
const NOT_KEPT: io::ErrorKind = io::ErrorKind::NotConnected;

/// A connected socket that does not block.
#[derive(Debug)]
pub(in crate::proxy) enum Socket {
    /// The runtime does not know it.
    New {
        /// `None`: closed.
        io: Option<net::TcpStream>,
        /// Whether the last read took all that was there.
        drained: bool,
    },
    /// It can be waited for.
    Known(TcpStream),
}

impl Socket {
    pub(in crate::proxy) fn new(io: net::TcpStream) -> Self {
        Self::New {
            io: Some(io),
            drained: false,
        }
    }

    /// The socket, known from here on.
    pub(in crate::proxy) fn known(&mut self) -> io::Result<&mut TcpStream> {
        if let Self::New { io, .. } = self
            && let Some(io) = io.take()
        {
            *self = Self::Known(TcpStream::from_std(io)?);
        }
        match self {
            Self::Known(io) => Ok(io),
            Self::New { .. } => Err(NOT_KEPT.into()),
        }
    }

    /// Reads. Where nothing is there, `deaf` leaves the socket unknown, if it is: nothing wakes the task then.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        deaf: bool,
    ) -> Poll<io::Result<()>> {
        if let Self::New {
            io: Some(io),
            drained,
        } = self
        {
            let mut scratch = [MaybeUninit::uninit(); FIRST];
            let room = buf.remaining().min(FIRST);
            let read = match scratch.get_mut(..room) {
                Some(scratch) if !*drained => recv(io, scratch, RecvFlags::empty()),
                Some(_) | None => Err(Errno::AGAIN),
            };
            match read {
                Ok(((read, _), _)) => {
                    *drained = (1..room).contains(&read.len());
                    buf.put_slice(read);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) if deaf => return Poll::Pending,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Pin::new(self.known()?).poll_read(cx, buf)
    }

    /// Writes. What fills no segment is held back if there is `more`, and goes with that.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        if let Self::New { io: Some(io), .. } = self {
            match sendmsg(io, bufs, &mut SendAncillaryBuffer::default(), flags) {
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        let io = self.known()?;
        match bufs {
            _ if more => {}
            [buf] => return Pin::new(io).poll_write(cx, buf),
            _ => return Pin::new(io).poll_write_vectored(cx, bufs),
        }
        loop {
            ready!(io.poll_write_ready(cx))?;
            let send = || Ok(sendmsg(&io, bufs, &mut SendAncillaryBuffer::default(), flags)?);
            match io.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Says that nothing more is written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::New { io: Some(io), .. } = self else {
            return Pin::new(self.known()?).poll_shutdown(cx);
        };
        let ended = shutdown(&io, Shutdown::Write);
        // Closing a socket that holds unread bytes resets the connection.
        let mut scratch = [MaybeUninit::uninit(); FIRST];
        for _ in 0..LEFT_OVER / FIRST {
            match recv(&io, &mut scratch, RecvFlags::empty()) {
                Ok((_, 1..)) => {}
                Ok(_) | Err(_) => break,
            }
        }
        Poll::Ready(ended.map_err(io::Error::from))
    }

    /// From here on closing it resets the connection.
    pub(in crate::proxy) fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(&self.fd()?).set_linger(Some(Duration::ZERO))
    }

    pub(super) fn fd(&self) -> io::Result<BorrowedFd<'_>> {
        match self {
            Self::Known(io) => Ok(io.as_fd()),
            Self::New { io, .. } => io.as_ref().map(AsFd::as_fd).ok_or(NOT_KEPT.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{IoSlice, Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Socket, net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (Socket::new(server), client)
    }

    async fn read(socket: &mut Socket, room: usize) -> Vec<u8> {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        poll_fn(|cx| socket.poll_read(cx, &mut buf, false)).await.unwrap();
        buf.filled().to_vec()
    }

    fn is_known(socket: &Socket) -> bool {
        matches!(socket, Socket::Known(_))
    }

    #[tokio::test]
    async fn one_that_is_never_waited_for_stays_unknown() {
        let (mut socket, mut client) = pair();
        client.write_all(b"request").unwrap();
        assert_eq!(read(&mut socket, 100).await, b"request");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut bytes = [0; 8];
        let mut buf = ReadBuf::new(&mut bytes);
        assert!(socket.poll_read(&mut cx, &mut buf, true).is_pending());
        let answer = [IoSlice::new(b"ans"), IoSlice::new(b"wer")];
        assert!(socket.poll_write(&mut cx, &answer, false).is_ready());
        assert!(!is_known(&socket));
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
    }

    #[tokio::test]
    async fn one_that_is_waited_for_loses_nothing() {
        let (mut socket, mut client) = pair();
        client.write_all(&[b'x'; 10_000]).unwrap();
        let mut whole = Vec::new();
        while whole.len() < 10_000 {
            whole.extend(read(&mut socket, 8192).await);
        }
        let writes = async {
            tokio::task::yield_now().await;
            client.write_all(b"more").unwrap();
        };
        let (more, ()) = tokio::join!(read(&mut socket, 100), writes);
        assert!(is_known(&socket));
        assert_eq!(more, b"more");
        drop(client);
        assert_eq!(read(&mut socket, 100).await, b"");
    }

    /// Also of a client that has sent more than was asked of it: nothing is reset.
    #[tokio::test]
    async fn what_the_end_follows_goes_with_it() {
        for known in [false, true] {
            let (mut socket, mut client) = pair();
            if known {
                socket.known().unwrap();
            }
            let answer = [IoSlice::new(b"ans"), IoSlice::new(b"wer")];
            let written = poll_fn(|cx| socket.poll_write(cx, &answer, true)).await;
            assert_eq!(written.unwrap(), 6);
            let early = client.read(&mut [0; 100]).unwrap_err();
            assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "nothing has left");
            if !known {
                client.write_all(b"too much").unwrap();
            }
            poll_fn(|cx| socket.poll_shutdown(cx)).await.unwrap();
            drop(socket);
            assert!(client.take_error().unwrap().is_none(), "it was reset");
            let mut whole = Vec::new();
            client.read_to_end(&mut whole).unwrap();
            assert_eq!(whole, b"answer");
        }
    }
}

//! A worker's listener, which hardly ever asks for a connection in vain.
//!
//! accept4(2) makes a file before it looks for a connection to put in it: on an empty queue it costs ten times as much as
//! the queue's length does, and whoever takes connections until there is none finds it empty each time.

use std::cell::Cell;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{IPPROTO_TCP, TCP_INFO, getsockopt, socklen_t, tcp_info};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;

/// A listener.
#[derive(Debug)]
pub(in crate::proxy) struct Accepting {
    socket: AsyncFd<TcpListener>,
    /// Connections that were seen to wait and were not taken yet, at most.
    waiting: Cell<u32>,
}

impl Accepting {
    pub(in crate::proxy) fn new(socket: TcpListener) -> io::Result<Self> {
        // SAFETY: the standard library's listener has one descriptor from its making to its end, and nothing takes it out.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self {
            socket: socket?,
            waiting: Cell::new(0),
        })
    }

    /// The next connection, unknown to the runtime. Loses none when it is dropped.
    pub(in crate::proxy) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            while self.waiting.get() == 0 {
                let mut ready = self.socket.readable().await?;
                // Before the look: what comes after that makes it ready again.
                ready.clear_ready();
                self.waiting.set(match waiting(self.socket.get_ref()) {
                    Ok(count @ 1..) => count,
                    // Where the kernel does not tell: until there is none.
                    Ok(0) | Err(_) => u32::MAX,
                });
            }
            // So that a long queue does not keep those waiting that were taken from it.
            consume_budget().await;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(self.socket.get_ref(), flags) {
                Ok((stream, peer)) => {
                    self.waiting.set(self.waiting.get().saturating_sub(1));
                    let peer = peer.and_then(|peer| peer.try_into().ok());
                    let peer = peer.ok_or(io::ErrorKind::AddrNotAvailable)?;
                    return Ok((stream.into(), peer));
                }
                Err(Errno::AGAIN) => self.waiting.set(0),
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(in crate::proxy) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }
}

impl AsFd for Accepting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

/// How many connections wait in a listener's queue.
fn waiting(listener: &TcpListener) -> io::Result<u32> {
    let mut info = MaybeUninit::<tcp_info>::zeroed();
    let mut size = socklen_t::try_from(size_of::<tcp_info>()).unwrap_or_default();
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the borrowed descriptor is open for the call, which writes at most `size` bytes to `info` and how many they
    // are to `size`; both outlive it.
    let outcome = unsafe { getsockopt(fd, IPPROTO_TCP, TCP_INFO, info.as_mut_ptr().cast(), &raw mut size) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is made of integers, of which any bytes are one.
    let info = unsafe { info.assume_init() };
    // Of a listener this field is the length of its queue (`tcp_get_info` in net/ipv4/tcp.c, since Linux 2.6.25).
    Ok(info.tcpi_unacked)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn every_connection_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = Accepting::new(listener).unwrap();
        let address = listener.local_addr().unwrap();
        for crowd in [1, 3, 100] {
            let clients: Vec<_> = (0..crowd).map(|_| TcpStream::connect(address).unwrap()).collect();
            assert_eq!(waiting(listener.socket.get_ref()).unwrap(), crowd);
            for client in &clients {
                let (_, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
            }
            assert_eq!(waiting(listener.socket.get_ref()).unwrap(), 0);
            let more = timeout(Duration::from_millis(10), listener.accept()).await;
            assert!(more.is_err());
        }
        let late = std::thread::spawn(move || TcpStream::connect(address).unwrap());
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, late.join().unwrap().local_addr().unwrap());
    }
}

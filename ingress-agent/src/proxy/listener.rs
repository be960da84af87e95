//! The sockets that `sk_lookup` hands connections to; those of an agent without XDP are [`Ordinary`].
//!
//! One `SO_REUSEPORT` group per family, on loopback so that nothing reaches it but by the steering program, one
//! socket per worker. Which worker gets a connection is the kernel's hash of the flow: the same for its SYN and
//! its ACK, as SYN cookies need.

mod accepting;
mod ordinary;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ipnet::IpNet;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub(super) use self::accepting::Accepting;
pub use self::ordinary::Ordinary;

/// The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;
/// What may wait in the kernel to be sent to one client (`TCP_NOTSENT_LOWAT`); it asks for more once half has gone.
const UNSENT: u32 = 512 * 1024;
/// How many ports are tried until one is free in both families.
const ATTEMPTS: usize = 16;

/// A socket that could not be made ready.
#[derive(Debug, thiserror::Error)]
#[error("{call} for the listener at {address}: {source}")]
pub struct ListenError {
    call: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// The listeners of all workers, not yet served.
#[derive(Debug)]
pub struct Listeners {
    pairs: Vec<Pair>,
}

/// One worker's share of [`Listeners`].
#[derive(Debug)]
struct Pair {
    v4: TcpListener,
    v6: TcpListener,
}

/// Every worker's listeners, of whichever kind.
#[derive(Debug)]
pub struct Sockets {
    pub(super) sets: Vec<Vec<TcpListener>>,
    /// Who begins with a PROXY protocol header.
    pub(super) balancers: Arc<[IpNet]>,
}

impl From<Listeners> for Sockets {
    fn from(listeners: Listeners) -> Self {
        let pairs = listeners.pairs.into_iter();
        Self {
            sets: pairs.map(|Pair { v4, v6 }| vec![v4, v6]).collect(),
            balancers: Arc::default(),
        }
    }
}

impl Listeners {
    /// Binds `workers` sockets (at least one) in each family, all on one port that the kernel picks.
    pub fn bind(workers: usize) -> Result<Self, ListenError> {
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            match Self::bind_group(workers.max(1)) {
                Err(error) if error.call == "bind" && error.source.kind() == io::ErrorKind::AddrInUse => {
                    refused = Some(error);
                }
                result => return result,
            }
        }
        Err(refused.unwrap_or_else(|| ListenError {
            call: "bind",
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
            source: io::ErrorKind::AddrInUse.into(),
        }))
    }

    fn bind_group(workers: usize) -> Result<Self, ListenError> {
        let first = listen(Ipv4Addr::LOCALHOST.into(), 0)?;
        let port = port(&first)?;
        let mut pairs = vec![Pair {
            v4: first,
            v6: listen(Ipv6Addr::LOCALHOST.into(), port)?,
        }];
        for _ in 1..workers {
            pairs.push(Pair {
                v4: listen(Ipv4Addr::LOCALHOST.into(), port)?,
                v6: listen(Ipv6Addr::LOCALHOST.into(), port)?,
            });
        }
        Ok(Self { pairs })
    }

    /// The port of both groups.
    pub fn port(&self) -> Result<u16, ListenError> {
        port(&self.first().v4)
    }

    /// A member of the IPv4 group: what belongs in the SOCKMAP.
    pub fn v4_fd(&self) -> BorrowedFd<'_> {
        self.first().v4.as_fd()
    }

    /// A member of the IPv6 group.
    pub fn v6_fd(&self) -> BorrowedFd<'_> {
        self.first().v6.as_fd()
    }

    /// Sets the largest segment that connections accepted from now on announce, per family.
    pub fn set_max_segment(&self, v4: u16, v6: u16) -> Result<(), ListenError> {
        self.pairs
            .iter()
            .try_for_each(|pair| pair.set_max_segment(v4, v6))
    }

    #[expect(clippy::expect_used, reason = "`bind_group` makes at least one pair")]
    fn first(&self) -> &Pair {
        self.pairs.first().expect("a group is never empty")
    }
}

impl Pair {
    /// As [`Listeners::set_max_segment`], for one worker.
    fn set_max_segment(&self, v4: u16, v6: u16) -> Result<(), ListenError> {
        set_max_segment(&self.v4, v4)?;
        set_max_segment(&self.v6, v6)
    }
}

/// `TCP_MAXSEG` of a listener; what it accepts inherits it.
pub(super) fn set_max_segment<'a>(
    listener: impl Into<SockRef<'a>> + Copy,
    bytes: u16,
) -> Result<(), ListenError> {
    let socket: SockRef<'_> = listener.into();
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    socket
        .set_tcp_mss(u32::from(bytes))
        .map_err(|source| ListenError {
            call: "setsockopt(TCP_MAXSEG)",
            address: address.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)),
            source,
        })
}

fn port(listener: &TcpListener) -> Result<u16, ListenError> {
    let address = listener.local_addr().map_err(|source| ListenError {
        call: "getsockname",
        address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        source,
    })?;
    Ok(address.port())
}

fn listen(address: IpAddr, port: u16) -> Result<TcpListener, ListenError> {
    listen_at(SocketAddr::new(address, port))
}

fn listen_at(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let failed = |call| {
        move |source| ListenError {
            call,
            address,
            source,
        }
    };
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP));
    let socket = socket.map_err(failed("socket"))?;
    if address.is_ipv6() {
        socket
            .set_only_v6(true)
            .map_err(failed("setsockopt(IPV6_V6ONLY)"))?;
    }
    socket
        .set_reuse_port(true)
        .map_err(failed("setsockopt(SO_REUSEPORT)"))?;
    // Inherited by what is accepted, which saves a call per connection.
    socket
        .set_tcp_nodelay(true)
        .map_err(failed("setsockopt(TCP_NODELAY)"))?;
    // Inherited too.
    socket
        .set_tcp_notsent_lowat(UNSENT)
        .map_err(failed("setsockopt(TCP_NOTSENT_LOWAT)"))?;
    socket.bind(&address.into()).map_err(failed("bind"))?;
    socket.listen(BACKLOG).map_err(failed("listen"))?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn one_port_one_socket_per_worker_and_family() {
        let listeners = Listeners::bind(3).unwrap();
        assert_eq!(listeners.pairs.len(), 3);
        for pair in &listeners.pairs {
            let port = listeners.port().unwrap();
            assert_eq!(
                pair.v4.local_addr().unwrap(),
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
            );
            assert_eq!(
                pair.v6.local_addr().unwrap(),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port)
            );
        }
        assert_ne!(listeners.v4_fd().as_raw_fd(), listeners.v6_fd().as_raw_fd());
        listeners.set_max_segment(1400, 1380).unwrap();
        assert!(listeners.set_max_segment(1, 1).is_err());
    }
}

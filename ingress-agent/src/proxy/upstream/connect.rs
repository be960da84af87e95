//! How a connection to a pod comes about: TCP, and TLS where the route asks for it.
//!
//! `proxy-connect-timeout`, 5 s unless set, limits all of it, as users of ingress-nginx know it. A pod whose machine or
//! network has gone answers no SYN, and to wait that long for it helps nobody who could ask another pod: so while there
//! is another one, TCP has [`UNANSWERED`] only, and the last one has all of the limit. Nothing was sent, so that
//! the next try is free also for a POST. One connection at a time rather than a race of two, as RFC 8305 has it: a pod
//! that was passed over is out of use until a probe reaches it, so that only the requests that find it out wait.

mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustls::ClientConfig;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::Target;
use super::http1::{Connection, Stream};
use crate::proxy::count::Cause;

pub(in crate::proxy) use self::tls::client_config;

/// How long a pod may leave a SYN unanswered while there is another: as long as a probe may, and as Linux waits until it
/// sends another SYN (RFC 6298 section 2).
pub(super) const UNANSWERED: Duration = Duration::from_secs(1);
/// RFC 9438 and RFC 5681; the second may be chosen without privilege.
const NEAR: [&[u8]; 2] = [b"cubic", b"reno"];

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("connect to {address}: not done within {limit:?}")]
    Timeout { address: SocketAddr, limit: Duration },
    #[error("begin TLS with {address}: {source}")]
    Tls { address: SocketAddr, source: io::Error },
}

impl ConnectError {
    /// As the metrics tell it.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Connect { .. } if self.is_own() => Cause::Local,
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                Cause::Refused
            }
            Self::Connect { .. } => Cause::Unreachable,
            Self::Timeout { .. } => Cause::ConnectTimeout,
            Self::Tls { .. } => Cause::Tls,
        }
    }

    /// Whether it is this node that cannot connect, so that it says nothing about the pod.
    pub(super) fn is_own(&self) -> bool {
        let Self::Connect { source, .. } = self else {
            return false;
        };
        let own = [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOBUFS,
            Errno::ADDRNOTAVAIL,
        ];
        let errno = source.raw_os_error();
        own.iter().any(|own| errno == Some(own.raw_os_error()))
    }
}

/// Connects to a pod, within `limit` for all of it and within `patience` for TCP.
pub(super) async fn connect(
    tls: &Arc<ClientConfig>,
    target: &Target,
    limit: Duration,
    patience: Duration,
) -> Result<Box<Connection>, ConnectError> {
    let address = target.address;
    let begin = Instant::now();
    let reached = timeout(limit.min(patience), TcpStream::connect(address)).await;
    let reached = reached.map_err(|_| ConnectError::Timeout {
        address,
        limit: limit.min(patience),
    })?;
    let stream = reached.and_then(|stream| {
        stream.set_nodelay(true)?;
        set_congestion_control(&stream);
        Ok(stream)
    });
    let stream = stream.map_err(|source| ConnectError::Connect { address, source })?;
    let Some(name) = target.server_name() else {
        return Ok(Connection::new(Stream::Plain(stream), limit));
    };
    // A handshake's future is large, and most connections need none.
    let handshake = Box::pin(TlsConnector::from(Arc::clone(tls)).connect(name, stream));
    let stream = timeout(limit.saturating_sub(begin.elapsed()), handshake)
        .await
        .map_err(|_| ConnectError::Timeout { address, limit })?
        .map_err(|source| ConnectError::Tls { address, source })?;
    Ok(Connection::new(Stream::Layered(Box::new(stream)), limit))
}

/// Pods are near: a window that losses steer serves as well there as one that is paced by timers, as BBR's is,
/// and costs less. Where the kernel has neither, its default stays.
fn set_congestion_control(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let found = NEAR.iter().any(|name| socket.set_tcp_congestion(name).is_ok());
    if !found {
        tracing::trace!("setsockopt(TCP_CONGESTION): the kernel's default stays");
    }
}

//! One connection to a pod: TCP, TLS where the route asks for it, HTTP/1.1.

mod one;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustls::ClientConfig;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::one::One;
use super::endpoint::{InFlight, Target};
use crate::proxy::count::Cause;
use crate::proxy::deadline::Deadline;
use crate::proxy::forward::RequestBody;

pub(in crate::proxy) use self::tls::client_config;

/// hyper's buffer per connection, of which an answer's head is a part; also the most that a client that does not
/// read makes the agent hold of an answer.
const BUFFER: usize = 64 * 1024;
/// RFC 9438 and RFC 5681; the second may be chosen without privilege.
const NEAR: [&[u8]; 2] = [b"cubic", b"reno"];

/// A connection that carries one request at a time. Boxed, as it moves with every request.
#[derive(Debug)]
pub(in crate::proxy) struct Connection {
    pub(in crate::proxy) sender: SendRequest<RequestBody>,
    /// When the pod has been silent for too long; also the connection's only timer.
    pub(in crate::proxy) deadline: Deadline,
    /// How long the pod may be silent, as the request's route has it.
    pub(in crate::proxy) silence: Duration,
    /// Whether it has carried a request before, so that the pod may have given it up meanwhile.
    pub(super) reused: bool,
    /// The request it carries; `None`: it is idle.
    pub(super) in_flight: Option<InFlight>,
}

impl Connection {
    /// One that has carried nothing yet; its timer is set when it carries something.
    pub(super) fn new(sender: SendRequest<RequestBody>, limit: Duration) -> Box<Self> {
        Box::new(Self {
            sender,
            deadline: Deadline::new(Instant::now() + limit),
            silence: limit,
            reused: false,
            in_flight: None,
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("connect to {address}: not done within {limit:?}")]
    Timeout { address: SocketAddr, limit: Duration },
    #[error("begin TLS with {address}: {source}")]
    Tls { address: SocketAddr, source: io::Error },
    #[error("begin HTTP with {address}: {source}")]
    Handshake {
        address: SocketAddr,
        source: hyper::Error,
    },
}

impl ConnectError {
    /// As the metrics tell it.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Connect { .. } if self.is_own() => Cause::Local,
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                Cause::Refused
            }
            Self::Connect { .. } | Self::Handshake { .. } => Cause::Unreachable,
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

/// Connects to a pod, within `limit` for all of it.
pub(super) async fn connect(
    tls: &Arc<ClientConfig>,
    target: &Target,
    limit: Duration,
) -> Result<Box<Connection>, ConnectError> {
    let address = target.address;
    let open = async {
        let stream = TcpStream::connect(address).await.and_then(|stream| {
            stream.set_nodelay(true)?;
            set_congestion_control(&stream);
            Ok(stream)
        });
        let stream = stream.map_err(|source| ConnectError::Connect { address, source })?;
        match target.server_name() {
            None => begin(address, stream).await,
            Some(name) => {
                // A handshake's future is large, and most connections need none.
                let stream = Box::pin(TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await;
                begin(
                    address,
                    stream.map_err(|source| ConnectError::Tls { address, source })?,
                )
                .await
            }
        }
    };
    let sender = timeout(limit, open)
        .await
        .map_err(|_| ConnectError::Timeout { address, limit })??;
    Ok(Connection::new(sender, limit))
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

/// Begins HTTP over a stream.
pub(super) async fn begin<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    address: SocketAddr,
    stream: T,
) -> Result<SendRequest<RequestBody>, ConnectError> {
    let handshake = http1::Builder::new()
        .max_buf_size(BUFFER)
        .handshake(TokioIo::new(One(stream)))
        .await;
    let (sender, connection) = handshake.map_err(|source| ConnectError::Handshake { address, source })?;
    spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            // The request that was on it, if any, tells the same to its client and in its access event.
            tracing::debug!(endpoint = %address, %error, "a connection to a pod ended");
        }
    });
    Ok(sender)
}

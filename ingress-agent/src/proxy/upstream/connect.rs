//! One connection to a pod.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::proxy::deadline::Deadline;
use crate::proxy::forward::RequestBody;

/// A connection that carries one request at a time. Boxed, as it moves with every request.
#[derive(Debug)]
pub(in crate::proxy) struct Connection {
    pub(in crate::proxy) sender: SendRequest<RequestBody>,
    pub(in crate::proxy) endpoint: SocketAddr,
    /// When the pod has been silent for too long; also the connection's only timer.
    pub(in crate::proxy) deadline: Deadline,
    /// Whether it has carried a request before, so that the pod may have given it up meanwhile.
    pub(in crate::proxy) reused: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum ConnectError {
    #[error("connect to {endpoint}: {source}")]
    Connect {
        endpoint: SocketAddr,
        source: std::io::Error,
    },
    #[error("connect to {endpoint}: no answer within {limit:?}")]
    Timeout { endpoint: SocketAddr, limit: Duration },
    #[error("begin HTTP with {endpoint}: {source}")]
    Handshake {
        endpoint: SocketAddr,
        source: hyper::Error,
    },
}

/// Connects to a pod.
pub(in crate::proxy) async fn connect(
    endpoint: SocketAddr,
    limit: Duration,
) -> Result<Box<Connection>, ConnectError> {
    let connecting = timeout(limit, TcpStream::connect(endpoint)).await;
    let stream = connecting.map_err(|_| ConnectError::Timeout { endpoint, limit })?;
    let stream = stream.and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let stream = stream.map_err(|source| ConnectError::Connect { endpoint, source })?;
    let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|source| ConnectError::Handshake { endpoint, source })?;
    spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            // The request that was on it, if any, tells the same to its client and in its access event.
            tracing::debug!(%endpoint, %error, "a connection to a pod ended");
        }
    });
    Ok(Box::new(Connection {
        sender,
        endpoint,
        deadline: Deadline::new(Instant::now() + limit),
        reused: false,
    }))
}

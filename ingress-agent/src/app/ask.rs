//! A question to the agent that runs here, by its admin socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody is there to ask.
    #[error("no agent answers at {} ({cause}): start one, or name its --run-dir", socket.display())]
    NoAgent {
        /// Its admin socket.
        socket: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The agent's answer is none.
    #[error("the agent at {} did not answer as one of this version does: {why}", socket.display())]
    Broken {
        /// Its admin socket.
        socket: PathBuf,
        /// What came.
        why: String,
    },
    /// The agent does not know.
    #[error("the agent at {} answered {status}: {why}", socket.display())]
    Refused {
        /// Its admin socket.
        socket: PathBuf,
        /// The status.
        status: StatusCode,
        /// The reason.
        why: String,
    },
}

/// What the agent answers to a path, from JSON.
pub(super) async fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, AskError> {
    let body = get(socket, path).await?;
    serde_json::from_slice(&body).map_err(|error| AskError::Broken {
        socket: socket.to_owned(),
        why: error.to_string(),
    })
}

/// What the agent answers to a path.
pub(super) async fn get(socket: &Path, path: &str) -> Result<Bytes, AskError> {
    let late = || AskError::NoAgent {
        socket: socket.to_owned(),
        cause: io::ErrorKind::TimedOut.into(),
    };
    timeout(PATIENCE, exchange(socket, path))
        .await
        .unwrap_or_else(|_| Err(late()))
}

async fn exchange(socket: &Path, path: &str) -> Result<Bytes, AskError> {
    let broken = |why: String| AskError::Broken {
        socket: socket.to_owned(),
        why,
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|cause| AskError::NoAgent {
            socket: socket.to_owned(),
            cause,
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(error.to_string()))?;
    let asked = Request::get(path)
        .header(header::HOST, "ingress-agent")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.to_string()))?;
    let answered = async {
        let response = sender.send_request(asked).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, body))
    };
    // The connection ends by itself after its one answer.
    let (answered, _) = tokio::join!(answered, connection);
    let (status, body) = answered.map_err(|error| broken(error.to_string()))?;
    if status != StatusCode::OK {
        return Err(AskError::Refused {
            socket: socket.to_owned(),
            status,
            why: String::from_utf8_lossy(&body).trim_end().to_owned(),
        });
    }
    Ok(body)
}

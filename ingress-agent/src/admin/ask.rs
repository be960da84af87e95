//! The other end of the admin's socket: one question to the agent that runs here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::SOCKET;

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
}

/// Asks the agent that keeps its files in a run directory for a path, with its query if it has one.
pub async fn ask(run_dir: &Path, path: &str) -> Result<(StatusCode, Bytes), AskError> {
    let socket = run_dir.join(SOCKET);
    let asked = timeout(PATIENCE, exchange(&socket, path)).await;
    asked.unwrap_or_else(|_| {
        Err(AskError::NoAgent {
            cause: io::ErrorKind::TimedOut.into(),
            socket,
        })
    })
}

async fn exchange(socket: &Path, path: &str) -> Result<(StatusCode, Bytes), AskError> {
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
    let request = Request::get(path)
        .header(header::HOST, "ingress-agent")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(error.to_string()))?;
    let answered = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, body))
    };
    // The connection ends by itself after its one answer.
    let (answered, _) = tokio::join!(answered, connection);
    answered.map_err(|error| broken(error.to_string()))
}

//! What the agent says of itself, to whoever asks on this machine: `/livez`, `/readyz`, `/metrics` and
//! `/debug/{model,plan,table,endpoints,explain,status}`, on a unix socket of the agent's user and, where asked for, on a
//! loopback address.
//!
//! In: a [`Board`], which the control thread keeps up to date. Out: text and JSON, without a secret or a key. It
//! runs on the control thread's runtime, changes nothing, and the request path never waits for it.

mod board;
mod explain;
mod model;
mod plan;
mod socket;
mod status;

use std::convert::Infallible;
use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::metrics;

pub use self::board::Board;
pub use self::socket::{SOCKET, SocketError};

/// A connection's one request and answer must be over within this time.
const LIMIT: Duration = Duration::from_secs(30);
/// Connections served at once; further ones wait.
const AT_ONCE: usize = 16;
const PATHS: &str = "/livez\n/readyz\n/metrics\n/debug/model\n/debug/plan\n/debug/table\n/debug/endpoints\n\
                     /debug/explain?url=URL\n/debug/status\n";

/// The admin's listeners; they close with this value.
#[derive(Debug)]
pub struct Admin {
    tasks: Vec<JoinHandle<()>>,
    _socket: Option<socket::Bound>,
}

/// Why `--admin-listen` cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("listen at --admin-listen {address}: {cause}")]
pub struct ListenError {
    address: SocketAddr,
    cause: std::io::Error,
}

impl Admin {
    /// Serves on `admin.sock` in `run_dir` and at `address`. Must be called in a tokio runtime. Without the socket,
    /// which is told, the agent serves traffic all the same.
    pub fn start(
        run_dir: &Path,
        address: Option<SocketAddr>,
        board: &Arc<Board>,
    ) -> Result<Self, ListenError> {
        let mut tasks = Vec::new();
        let room = Arc::new(Semaphore::new(AT_ONCE));
        if let Some(address) = address {
            let failed = |cause| ListenError { address, cause };
            let listener = TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
            let (board, room) = (Arc::clone(board), Arc::clone(&room));
            tasks.push(tokio::spawn(async move {
                loop {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    admit(accepted, &board, &room).await;
                }
            }));
        }
        let socket = match socket::bind(run_dir) {
            Ok((bound, listener)) => {
                let board = Arc::clone(board);
                tasks.push(tokio::spawn(async move {
                    loop {
                        let accepted = listener.accept().await.map(|(stream, _)| stream);
                        admit(accepted, &board, &room).await;
                    }
                }));
                Some(bound)
            }
            Err(error) => {
                tracing::warn!(%error, "no admin socket; --run-dir names a directory that this user may write");
                None
            }
        };
        Ok(Self {
            tasks,
            _socket: socket,
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Serves one connection on a task of its own, as soon as there is room.
async fn admit<S>(accepted: std::io::Result<S>, board: &Arc<Board>, room: &Arc<Semaphore>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(stream) = accepted else {
        // Out of descriptors, for example: it may be better soon.
        return tokio::time::sleep(Duration::from_millis(100)).await;
    };
    // It is never closed, so this only waits.
    let permit = Arc::clone(room).acquire_owned().await;
    let board = Arc::clone(board);
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let board = Arc::clone(&board);
            async move { Ok::<_, Infallible>(answer(&request, &board).await) }
        });
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        // Who asks may leave or take too long; nobody else is concerned.
        _ = timeout(LIMIT, connection).await;
        drop(permit);
    });
}

async fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => state(board.live().await),
        "/readyz" => state(board.ready()),
        "/metrics" => match metrics::text(
            &board.control,
            board.proxy().as_deref(),
            board.maps().as_deref(),
            board.announced().len(),
            board.answered(),
        ) {
            Ok(metrics) => {
                if let (Some(proxy), Some(model)) = (board.proxy(), board.model()) {
                    metrics::forget(&proxy, &model);
                }
                let mut response = text(StatusCode::OK, metrics);
                let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
                response
            }
            Err(error) => failed(&error),
        },
        "/debug/model" => json(board.model().map(|model| model::describe(&model)), "no model yet"),
        "/debug/plan" => json(
            board.plan().map(|plan| plan::describe(&plan, &board.announced())),
            "no plan: none is in effect yet, or the agent serves without XDP",
        ),
        "/debug/table" => json(board.proxy().map(|proxy| proxy.describe()), "no table yet"),
        "/debug/endpoints" => json(board.proxy().map(|proxy| proxy.endpoints()), "no table yet"),
        "/debug/status" => json(Some(status::status(board).await), ""),
        "/debug/explain" => match explain::answer(request.uri().query(), board).await {
            Ok(explanation) => json(Some(explanation), ""),
            Err((status, why)) => text(status, format!("{why}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, format!("there is:\n{PATHS}")),
    }
}

fn state(state: Result<(), impl Display>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn json<T: Serialize>(value: Option<T>, absent: &str) -> Response<Full<Bytes>> {
    let Some(value) = value else {
        return text(StatusCode::NOT_FOUND, format!("{absent}\n"));
    };
    match serde_json::to_string_pretty(&value) {
        Ok(json) => {
            let mut response = text(StatusCode::OK, json + "\n");
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn Display) -> Response<Full<Bytes>> {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

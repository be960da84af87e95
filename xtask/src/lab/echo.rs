//! What a pod serves: an HTTP/1.1 server that says what it was asked.
//!
//! | request | answer |
//! |---|---|
//! | `GET /bytes/N` | N bytes, streamed |
//! | `?slow=MS` on any path | the same answer, after MS milliseconds |
//! | anything else | JSON: pod, method, path, headers, peer, and how many bytes the body had |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// Serves on every address until `stopped`; calls `ready` once all are bound.
pub(super) fn serve(
    pod: &str,
    addresses: &[SocketAddr],
    stopped: oneshot::Receiver<()>,
    ready: impl FnOnce(),
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pod: Arc<str> = pod.into();
    LocalSet::new().block_on(&runtime, async {
        for &address in addresses {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("pod {pod}: bind {address}"))?;
            tokio::task::spawn_local(accept(listener, Arc::clone(&pod)));
        }
        ready();
        // The sender's drop is the signal.
        drop(stopped.await);
        Ok(())
    })
}

async fn accept(listener: TcpListener, pod: Arc<str>) {
    // A failed accept concerns one connection that is gone already.
    loop {
        if let Ok((stream, peer)) = listener.accept().await {
            tokio::task::spawn_local(connection(stream, peer, Arc::clone(&pod)));
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, pod: Arc<str>) {
    let service = service_fn(|request| answer(request, peer, Arc::clone(&pod)));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // The peer may end a connection as it likes.
    drop(served.await);
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    pod: Arc<str>,
) -> Result<Response<Either<Full<Bytes>, Zeros>>, Infallible> {
    if let Some(delay) = milliseconds(request.uri().query()) {
        tokio::time::sleep(delay).await;
    }
    if let Some(left) = request
        .uri()
        .path()
        .strip_prefix("/bytes/")
        .and_then(|count| count.parse().ok())
    {
        return Ok(Response::new(Either::Right(Zeros { left })));
    }
    let (head, mut body) = request.into_parts();
    let mut length: u64 = 0;
    let mut complete = true;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => length += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(_) => {
                complete = false;
                break;
            }
        }
    }
    let headers: serde_json::Map<String, Value> = head
        .headers
        .keys()
        .map(|name| {
            let values: Vec<_> = head
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.to_string(), json!(values.join(", ")))
        })
        .collect();
    let text = json!({
        "pod": &*pod,
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "headers": headers,
        "peer": peer.to_string(),
        "body": length,
        "complete": complete,
    });
    Ok(Response::new(Either::Left(Full::from(format!("{text}\n")))))
}

fn milliseconds(query: Option<&str>) -> Option<Duration> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("slow=")?.parse().ok())
        .map(Duration::from_millis)
}

/// A body of so many zeros.
#[derive(Debug)]
struct Zeros {
    left: u64,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 16_384] = [0; 16_384];
        let part = self.left.min(CHUNK.len() as u64);
        self.left -= part;
        let chunk = usize::try_from(part)
            .ok()
            .and_then(|part| CHUNK.get(..part))
            .filter(|chunk| !chunk.is_empty());
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(Bytes::from_static(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

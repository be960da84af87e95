//! One client's connection, from the accept to its end.

mod h2;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::client::Client;
use super::deadline::Deadline;
use super::forward;
use super::guard::{Guard, Limits};
use super::open::Place;
use super::tls;
use super::watch::Watch;
use super::worker::Worker;

/// hyper's buffers per connection: a head of the guard's largest size fits.
const BUFFER: usize = 64 * 1024;

/// How long a drain waits for the first request of a connection that has sent nothing yet.
const LAST_HEAD: Duration = Duration::from_secs(3);

/// How far a connection has come in leaving, once its worker drains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leaving {
    No,
    /// Its first request is waited for.
    Awaited,
    /// It ends after the request under way.
    Told,
}

/// What is spoken at a VIP.
enum Spoken {
    Plain,
    Tls(Arc<ServerConfig>),
}

/// Serves a connection that was accepted from `peer`.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let (local, peer) = (canonical(local), canonical(peer));
    let Some(spoken) = spoken_at(&worker, local) else {
        tracing::debug!(%local, %peer, "no listener has this address: the connection is closed");
        return;
    };
    match spoken {
        Spoken::Plain => requests(worker, stream, peer, local, false, place).await,
        // Boxed, so that a plain connection's task is not as large as a TLS one's.
        Spoken::Tls(config) => Box::pin(serve_tls(worker, config, stream, peer, local, place)).await,
    }
}

async fn serve_tls(
    worker: Rc<Worker>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    place: Place,
) {
    let handshake = TlsAcceptor::from(config).accept(stream);
    match timeout(worker.options.handshake, handshake).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(tls::H2) => {
            let watch = Arc::new(Watch::new(worker.options.head));
            let client = Client::new(worker, peer, local, true, watch);
            h2::serve(Rc::new(client), stream, place).await;
        }
        Ok(Ok(stream)) => requests(worker, stream, peer, local, true, place).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

fn spoken_at(worker: &Worker, local: SocketAddr) -> Option<Spoken> {
    let live = worker.live.load();
    let listener = live.table.listener(local)?;
    Some(match (&listener.certificates, live.handshakes.get(&local)) {
        (Some(_), Some(config)) => Spoken::Tls(Arc::clone(config)),
        (Some(_), None) => return None,
        (None, _) => Spoken::Plain,
    })
}

/// An IPv4 address in IPv6 clothes is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn requests<S>(worker: Rc<Worker>, io: S, peer: SocketAddr, local: SocketAddr, tls: bool, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Arc::new(Watch::new(worker.options.head));
    let limits = Limits {
        head: worker.options.head,
        body: worker.options.body,
    };
    let io = Guard::new(io, tls, limits, Arc::clone(&watch));
    let client = Rc::new(Client::new(
        Rc::clone(&worker),
        peer,
        local,
        tls,
        Arc::clone(&watch),
    ));
    let served = Rc::clone(&client);
    let service = service_fn(move |request| forward::serve(Rc::clone(&served), request));
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(BUFFER)
            .pipeline_flush(false)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
    );
    let mut deadline = Deadline::new(watch.deadline().unwrap_or_else(Instant::now));
    let mut registered = false;
    let mut leaving = Leaving::No;
    let ended = poll_fn(|cx| {
        if !std::mem::replace(&mut registered, true) {
            place.register(cx.waker());
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            // After the poll, so that a request that is already here is served; and never within a head.
            if worker.open.draining() && leaving != Leaving::Told && !watch.head_begun() {
                if client.asked() > 0 {
                    leaving = Leaving::Told;
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                // hyper would close at once, and the first request may be under way.
                if leaving == Leaving::No {
                    leaving = Leaving::Awaited;
                    watch.expect_within(Instant::now(), LAST_HEAD);
                }
            }
            let Some(due) = watch.deadline() else {
                return Poll::Pending;
            };
            deadline.set(due);
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            watch.expire();
        }
    });
    let ended = ended.await;
    let tunnel = client.take_tunnel();
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a client's connection broke");
    } else if let Some((tunnel, record)) = tunnel {
        // Here, so that the connection keeps its place, which a drain waits for.
        Box::pin(tunnel.run(record)).await;
    }
}

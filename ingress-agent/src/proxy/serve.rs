//! One client's connection, from the accept to its end.

mod h2;
mod rest;

use std::future::poll_fn;
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::admission::{Admitted, Beyond};
use super::client::Client;
use super::count::add;
use super::deadline::Deadline;
use super::forward;
use super::guard::{Guard, Limits};
use super::open::Place;
use super::preamble::{self, Preamble};
use super::stream::{ClientStream, Socket};
use super::table;
use super::tls::{self, Security, Shown};
use super::watch::Watch;
use super::worker::Worker;

/// hyper's buffers per connection: a head of the guard's largest size fits.
const BUFFER: usize = 64 * 1024;

/// How long a drain waits for a request of a connection that has none: it may be under way.
const LAST_HEAD: Duration = Duration::from_secs(3);

/// How far a connection has come in leaving, once its worker drains.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leaving {
    No,
    /// One request more than so many is waited for.
    Awaited(u64),
    /// It ends after the request under way.
    Told,
}

/// Why hyper is not polled any further.
enum Pause {
    Ended(hyper::Result<()>),
    /// Nothing is under way.
    Rest,
}

/// What is spoken at a VIP.
enum Spoken {
    Plain,
    Tls(Arc<ServerConfig>),
}

/// The ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The client.
    pub(super) peer: SocketAddr,
    /// The socket's own address: which listener it is.
    pub(super) local: SocketAddr,
    /// What the client dialled: `local`, unless a balancer in front says otherwise.
    pub(super) dialled: SocketAddr,
}

/// Serves a connection that was accepted from `peer`. `balanced`: it begins with a PROXY protocol header.
pub(super) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    balanced: bool,
    place: Place,
) {
    let _counted = Counted::new(Rc::clone(&worker));
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let (local, peer) = (canonical(local), canonical(peer));
    let stream = Socket::new(stream);
    let mut admitted = match worker.admission.admit(local) {
        Ok(admitted) => admitted,
        Err(beyond) => return refuse(&worker, &stream, peer, beyond),
    };
    if worker.admission.is_nearly_full() {
        let evicted = worker.open.evict_idle();
        add(&worker.counter.counts().limited.evicted, evicted);
    }
    let Some(spoken) = spoken_at(&worker, local) else {
        tracing::debug!(%local, %peer, "no listener has this address: the connection is closed");
        return;
    };
    let ends = Ends {
        peer,
        local,
        dialled: local,
    };
    if balanced {
        return Box::pin(serve_balanced(worker, spoken, stream, ends, place, admitted)).await;
    }
    if let Err(beyond) = admitted.of(peer.ip()) {
        return refuse(&worker, &stream, peer, beyond);
    }
    speak(worker, spoken, stream, ends, place).await;
}

/// A connection, as it is counted.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: Rc<Worker>) -> Self {
        add(&worker.counter.counts().accepted, 1);
        Self(worker)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        add(&self.0.counter.counts().closed, 1);
    }
}

/// Takes a balancer's word on who the client is; closes the connection of one that says nothing sound.
async fn serve_balanced(
    worker: Rc<Worker>,
    spoken: Spoken,
    mut stream: Socket,
    ends: Ends,
    place: Place,
    mut admitted: Admitted,
) {
    let Ok(io) = stream.known() else {
        return;
    };
    let read = timeout(worker.options.handshake, preamble::read(io)).await;
    let ends = match read {
        Ok(Ok(Preamble::Proxied { source, destination })) => Ends {
            peer: canonical(source),
            local: ends.local,
            dialled: canonical(destination),
        },
        Ok(Ok(Preamble::Local)) => ends,
        Ok(Err(error)) => return tracing::warn!(balancer = %ends.peer, %error, "a connection is closed"),
        Err(_) => {
            return tracing::warn!(balancer = %ends.peer, "no PROXY header in time: a connection is closed");
        }
    };
    if let Err(beyond) = admitted.of(ends.peer.ip()) {
        return refuse(&worker, &stream, ends.peer, beyond);
    }
    speak(worker, spoken, stream, ends, place).await;
}

/// A connection beyond a cap is reset, which costs the kernel nothing more.
fn refuse(worker: &Worker, stream: &Socket, peer: SocketAddr, beyond: Beyond) {
    let limited = &worker.counter.counts().limited;
    let counter = match beyond {
        Beyond::Total => &limited.total,
        Beyond::Source => &limited.source,
        Beyond::Listener => &limited.listener,
    };
    add(counter, 1);
    tracing::debug!(%peer, ?beyond, "a connection beyond a cap is refused");
    // Without it the close is an ordinary one.
    _ = stream.reset_on_close();
}

async fn speak(worker: Rc<Worker>, spoken: Spoken, stream: Socket, ends: Ends, place: Place) {
    let watch = Arc::new(Watch::new(worker.options.head));
    let stream = ClientStream::new(stream, worker.options.write, Arc::clone(&watch));
    match spoken {
        Spoken::Plain => requests(worker, stream, ends, Security::Plain, place, watch).await,
        // Boxed, so that a plain connection's task is not as large as a TLS one's.
        Spoken::Tls(config) => Box::pin(serve_tls(worker, config, stream, ends, place, watch)).await,
    }
}

async fn serve_tls(
    worker: Rc<Worker>,
    config: Arc<ServerConfig>,
    stream: ClientStream,
    ends: Ends,
    place: Place,
    watch: Arc<Watch>,
) {
    let peer = ends.peer;
    let handshake = tls::shake_hands(config, stream, || {
        let live = worker.live.load();
        live.table.listener(ends.local)?.certificates.clone()
    });
    let ended = {
        let under_way = worker.handshaking.begin(worker.options.caps.get().handshakes);
        let handshake = timeout(worker.options.handshake, handshake);
        match select(pin!(handshake), pin!(under_way.displaced())).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => {
                add(&worker.counter.counts().limited.handshakes, 1);
                watch.give_up();
                return tracing::debug!(%peer, "a TLS handshake made room for another");
            }
        }
    };
    let handshakes = &worker.counter.counts().handshakes;
    match ended {
        Ok(Ok(stream)) => {
            add(&handshakes.ok, 1);
            watch.expect_within(Instant::now(), worker.options.head);
            let session = stream.get_ref().1;
            let security = Security::Tls(shown(&worker, ends.local, session.server_name()));
            if session.alpn_protocol() == Some(tls::H2) {
                let client = Client::new(worker, ends, security, watch);
                h2::serve(Rc::new(client), stream, place).await;
            } else {
                requests(worker, stream, ends, security, place, watch).await;
            }
        }
        Ok(Err(error)) => {
            add(&handshakes.failed, 1);
            tracing::debug!(%peer, %error, "a TLS handshake failed");
        }
        Err(_) => {
            add(&handshakes.late, 1);
            tracing::debug!(%peer, "a TLS handshake took too long");
        }
    }
}

/// The certificate that was shown to a client of the listener at `local`.
fn shown(worker: &Worker, local: SocketAddr, server_name: Option<&str>) -> Option<Shown> {
    let live = worker.live.load();
    let listener = live.table.listener(local)?;
    Shown::to(server_name, listener.certificates.as_deref()?)
}

fn spoken_at(worker: &Worker, local: SocketAddr) -> Option<Spoken> {
    let live = worker.live.load();
    let listener = live.table.listener(local)?;
    Some(
        match (&listener.certificates, table::at(&live.handshakes, local)) {
            (Some(_), Some(config)) => Spoken::Tls(Arc::clone(config)),
            (Some(_), None) => return None,
            (None, _) => Spoken::Plain,
        },
    )
}

/// An IPv4 address in IPv6 clothes is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn requests<S>(
    worker: Rc<Worker>,
    io: S,
    ends: Ends,
    security: Security,
    place: Place,
    watch: Arc<Watch>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = Limits {
        head: worker.options.head,
        body: worker.options.body,
    };
    let guard = Guard::new(io, security.is_tls(), limits, Arc::clone(&watch));
    let client = Rc::new(Client::new(worker, ends, security, Arc::clone(&watch)));
    // Boxed, so that it takes no memory while the connection rests.
    let begin = |guard| {
        let served = Rc::clone(&client);
        let service = service_fn(move |request| forward::serve(Rc::clone(&served), request));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER).pipeline_flush(false);
        let connection = builder.serve_connection(TokioIo::new(guard), service);
        Box::pin(connection.with_upgrades())
    };
    let mut connection = begin(guard);
    let mut deadline = Deadline::new(watch.deadline().unwrap_or_else(Instant::now));
    let mut registered = false;
    let ended = loop {
        let mut leaving = Leaving::No;
        let pause = poll_fn(|cx| {
            if !std::mem::replace(&mut registered, true) {
                place.register(cx.waker(), &watch);
            }
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Pause::Ended(ended));
                }
                // After the poll, so that a request that is already here is served; and never within a head.
                let must_leave = client.worker.open.draining() || watch.is_evicted();
                if must_leave && leaving != Leaving::Told && !watch.head_begun() {
                    let asked = client.asked();
                    // Who makes room is closed at once, if it has asked anything.
                    let is_last = asked > 0 && watch.is_evicted();
                    let waits = match leaving {
                        Leaving::No => asked == 0 || client.idle_since().is_some(),
                        Leaving::Awaited(before) => asked == before,
                        Leaving::Told => false,
                    };
                    if is_last || !waits {
                        leaving = Leaving::Told;
                        connection.as_mut().graceful_shutdown();
                        continue;
                    }
                    // hyper would close at once, and the next request would be lost on its way.
                    if leaving == Leaving::No {
                        leaving = Leaving::Awaited(asked);
                        watch.expect_within(Instant::now(), LAST_HEAD);
                    }
                }
                let Some(due) = watch.deadline() else {
                    return Poll::Pending;
                };
                let idle = client.idle_since().filter(|_| leaving == Leaving::No);
                let rests_at = idle.map(|since| since + rest::MOMENT);
                deadline.set(rests_at.unwrap_or(due).min(due));
                if deadline.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if rests_at.is_some_and(|at| at < due) {
                    return Poll::Ready(Pause::Rest);
                }
                watch.expire();
            }
        });
        match pause.await {
            Pause::Ended(ended) => break ended,
            Pause::Rest => {}
        }
        // The guard alone is kept: the read buffer, which is empty, would hold its memory.
        let Some(mut guard) = Pin::into_inner(connection)
            .into_parts()
            .map(|parts| parts.io.into_inner())
        else {
            break Ok(());
        };
        rest::rest(&client, &mut guard, &mut deadline).await;
        connection = begin(guard);
    };
    let tunnel = client.take_tunnel();
    match (ended, tunnel) {
        // Here, so that the connection keeps its place, which a drain waits for.
        (Ok(()), Some((tunnel, record))) => Box::pin(tunnel.run(record)).await,
        (Ok(()), None) => {}
        (Err(error), _) => broke(&client, &error),
    }
}

/// A client's connection has ended by an error, which may be that it was given up.
fn broke(client: &Client, error: &hyper::Error) {
    let peer = client.peer;
    if client.watch.is_given_up() {
        add(&client.worker.counter.counts().limited.stalled, 1);
        tracing::debug!(%peer, "a client that takes too little of its answer is given up");
    } else {
        tracing::debug!(%peer, %error, "a client's connection broke");
    }
}

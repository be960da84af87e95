//! A worker: one thread, one runtime, its own listeners, its own connections to pods.
//!
//! Nothing is shared with other workers on a request's way but the table, behind one pointer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{interval, sleep, timeout, timeout_at};

use super::admission::{Admission, Handshaking};
use super::count::{Counter, Counts, Labels};
use super::listener::{Accepting, ListenError, set_max_segment};
use super::open::{Open, Requests};
use super::request_id::RequestIds;
use super::serve;
use super::upstream::{Balancer, Registry, client_config};
use super::{DrainOutcome, Live, Options};

/// How often idle connections to pods are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// A listener is given up in a drain once no connection has come for this long: SYNs go elsewhere by then, and
/// what was in the middle of its handshake has arrived.
const QUIET: Duration = Duration::from_millis(500);
/// And after this long in any case.
const QUIET_LIMIT: Duration = Duration::from_secs(3);
/// How long no connection is accepted after the kernel had no resources for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// It has resources again once it had them for this long; told at the begin and at the end, not at each failure.
const ACCEPT_EPISODE: Duration = Duration::from_secs(10);

/// How long a tunnel that is cut at a drain's end has to tell its client.
const FAREWELL: Duration = Duration::from_millis(250);

/// What a worker's tasks share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) options: Options,
    pub(super) registry: Registry,
    pub(super) balancer: Balancer,
    /// How TLS with pods begins.
    pub(super) tls: Arc<ClientConfig>,
    pub(super) ids: RequestIds,
    pub(super) open: Rc<Open>,
    pub(super) requests: Requests,
    pub(super) counter: Counter,
    /// Of all workers.
    pub(super) admission: Arc<Admission>,
    pub(super) handshaking: Handshaking,
}

/// What is one worker's own.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) sockets: Vec<std::net::TcpListener>,
    /// Who begins with a PROXY protocol header.
    pub(super) balancers: Arc<[IpNet]>,
    pub(super) counts: Arc<Counts>,
    pub(super) admission: Arc<Admission>,
}

/// What the control thread asks of a worker.
#[derive(Debug)]
pub(super) enum Command {
    /// To answer.
    Pulse(oneshot::Sender<()>),
    /// To announce these segment sizes.
    MaxSegment {
        v4: u16,
        v6: u16,
        done: oneshot::Sender<Result<(), ListenError>>,
    },
    /// To forget the series of these objects.
    Forget(Arc<[Labels]>),
    /// To end, within this time.
    Drain {
        within: Duration,
        done: oneshot::Sender<DrainOutcome>,
    },
}

/// Why a worker ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("tokio cannot take the listener over: {0}")]
    Listener(#[source] std::io::Error),
    #[error("rustls cannot begin TLS with pods: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the task that accepts connections ended")]
    Accept,
    #[error("the control thread let go of the worker")]
    Orphaned,
}

impl Worker {
    fn new(
        live: Arc<ArcSwap<Live>>,
        options: Options,
        tls: Arc<ClientConfig>,
        counts: Arc<Counts>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            live,
            options,
            registry: Registry::default(),
            balancer: Balancer::new(),
            tls,
            ids: RequestIds::new(),
            open: Rc::default(),
            requests: Requests::default(),
            counter: Counter::new(counts),
            admission,
            handshaking: Handshaking::default(),
        }
    }
}

/// A worker's life, on its own runtime. Ends well only after a drain.
pub(super) async fn run(
    live: Arc<ArcSwap<Live>>,
    options: Options,
    share: Share,
    mut commands: mpsc::UnboundedReceiver<Command>,
) -> Result<(), WorkerError> {
    let worker = Rc::new(Worker::new(
        live,
        options,
        client_config()?,
        share.counts,
        share.admission,
    ));
    let (drain, draining) = watch::channel(false);
    let mut listeners = Vec::new();
    let mut accepting = JoinSet::new();
    for socket in share.sockets {
        let listener = Rc::new(Accepting::new(socket).map_err(WorkerError::Listener)?);
        listeners.push(Rc::clone(&listener));
        let balancers = Arc::clone(&share.balancers);
        accepting.spawn_local(accept(Rc::clone(&worker), listener, balancers, draining.clone()));
    }
    let mut sweep = interval(SWEEP);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command.ok_or(WorkerError::Orphaned)?,
            _ = sweep.tick() => {
                worker.registry.sweep(Instant::now());
                worker.open.listen();
                continue;
            }
            _ = accepting.join_next() => return Err(WorkerError::Accept),
        };
        match command {
            // Who asked may have given up; nothing is lost then.
            Command::Pulse(answer) => _ = answer.send(()),
            Command::MaxSegment { v4, v6, done } => {
                let mss = |listener: &Accepting| {
                    let is_v6 = listener.local_addr().is_ok_and(|address| address.is_ipv6());
                    set_max_segment(listener, if is_v6 { v6 } else { v4 })
                };
                _ = done.send(listeners.iter().try_for_each(|listener| mss(listener)));
            }
            Command::Forget(gone) => worker.counter.forget(&gone),
            Command::Drain { within, done } => {
                let until = tokio::time::Instant::now() + within;
                let ended = worker.requests.ended();
                worker.open.drain();
                // The accept tasks hold the other ends.
                _ = drain.send(true);
                // Only they may hold the listeners, so that these close when they end.
                drop(listeners);
                let accepted = async {
                    while accepting.join_next().await.is_some() {}
                    worker.open.empty().await;
                };
                // A connection that is still open then is counted below.
                _ = timeout_at(until, accepted).await;
                let outcome = DrainOutcome {
                    finished: worker.requests.ended() - ended,
                    cut: worker.requests.open(),
                };
                _ = timeout(FAREWELL, worker.open.bid_farewell()).await;
                _ = done.send(outcome);
                return Ok(());
            }
        }
    }
}

/// Accepts until a drain has found the queue empty for a while.
async fn accept(
    worker: Rc<Worker>,
    listener: Rc<Accepting>,
    balancers: Arc<[IpNet]>,
    mut draining: watch::Receiver<bool>,
) {
    let is_balancer = |peer: SocketAddr| {
        let peer = peer.ip().to_canonical();
        balancers.iter().any(|range| range.contains(&peer))
    };
    let failed: Cell<Option<Instant>> = Cell::default();
    let accept_one = async || match listener.accept().await {
        Ok((stream, peer)) => {
            if failed.get().is_some_and(|last| last.elapsed() >= ACCEPT_EPISODE) {
                failed.set(None);
                tracing::info!("accept4: connections are accepted again");
            }
            let place = worker.open.enter();
            let balanced = is_balancer(peer);
            spawn_local(serve::serve(Rc::clone(&worker), stream, peer, balanced, place));
        }
        Err(error) => {
            let now = Instant::now();
            let before = failed.replace(Some(now));
            if before.is_none_or(|last| now - last >= ACCEPT_EPISODE) {
                let local = listener.local_addr().ok();
                tracing::warn!(%error, ?local, "accept4: connections are not accepted");
            }
            sleep(ACCEPT_PAUSE).await;
        }
    };
    loop {
        tokio::select! {
            () = accept_one() => {}
            // An error says that the worker has ended.
            _ = draining.wait_for(|&draining| draining) => break,
        }
    }
    let limit = tokio::time::Instant::now() + QUIET_LIMIT;
    while tokio::time::Instant::now() < limit {
        if timeout(QUIET, accept_one()).await.is_err() {
            break;
        }
    }
}

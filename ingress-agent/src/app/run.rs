//! The life of an agent: start, follow the source, drain, end.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::files;
use super::heartbeat::Heartbeat;
use super::ordinary;
use super::publish::Publisher;
use super::stop::Stop;
use crate::admin::{self, Admin, Board};
use crate::config::{LimitArgs, LogArgs, RunArgs, Source, Twice};
use crate::proxy::{Ended, ListenError, Listeners, Options, Proxy, StartError};
use crate::source::file::{self, WatchError};
use crate::source::kube::{self, ConnectError, Saved, Scope};
use crate::telemetry::Logs;
use crate::translate::Snapshot;
use crate::xdp::sys::SysError;
use crate::xdp::{self, Dataplane, OpenError, Plan, PlanError};

/// How often it is looked at whether the network asks for another MSS.
const MSS_EVERY: Duration = Duration::from_secs(3);

/// Why an agent does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nodes find one another by `nodes.yaml` only.
    #[error(
        "--source kube serves ordinary listeners only in this version: add --no-xdp --listen ADDRESS:PORT, or take \
         --source file:DIR for VIPs"
    )]
    KubeWithXdp,
    /// The API server is not known.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is nothing to program.
    #[error(
        "no VIP to serve: {source_name} has no VipPool that gives an address to an IngressClass of ours, or the log \
         says why it was refused; serve without VIPs by --no-xdp --listen ADDRESS:PORT, or add a pool, for example:\n{}",
        EXAMPLE_POOL
    )]
    NoVip {
        /// Where objects come from.
        source_name: String,
    },
    /// The listeners of an agent without XDP.
    #[error(transparent)]
    Openings(#[from] Twice),
    /// The admin's address.
    #[error(transparent)]
    Admin(#[from] admin::ListenError),
    /// The source cannot be followed.
    #[error(transparent)]
    Source(#[from] WatchError),
    /// The source's task panicked.
    #[error("following the source: {0}")]
    SourceTask(#[from] JoinError),
    /// The kernel's side cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The model has no place for this node.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What the manifests mean could not be put into effect; the log says why.
    #[error("the first manifests could not be put into effect; the log says why")]
    NotInEffect,
    /// There are no listeners to hand connections to.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The request path cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A map cannot be written.
    #[error(transparent)]
    Map(#[from] SysError),
    /// A system call of the agent's own failed.
    #[error("{call}: {cause}")]
    System {
        /// Which, and what for.
        call: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A worker of the request path ended.
    #[error(transparent)]
    Worker(#[from] Ended),
}

const EXAMPLE_POOL: &str = "\
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [192.0.2.10], classes: [NAME-OF-AN-INGRESSCLASS]}";

/// Serves until SIGTERM or SIGINT, then drains. Must be called in a tokio runtime of its own.
pub async fn run(args: RunArgs, logs: &Logs) -> Result<(), RunError> {
    if args.source == Source::Kube && !args.ordinary.no_xdp {
        return Err(RunError::KubeWithXdp);
    }
    files::take_all();
    if args.ordinary.no_xdp {
        return ordinary::run(args, logs).await;
    }
    let node: Arc<str> = Arc::from(&*args.node);
    let mut stop = Stop::listen().map_err(|cause| RunError::System {
        call: "sigaction",
        cause,
    })?;
    let board = Arc::new(Board::new(Arc::clone(&logs.dropped)));
    let _admin = Admin::start(&args.places.run_dir, args.admin_listen, &board)?;
    let mut source = Followed::start(&args, Arc::clone(&node)).await?;

    let snapshot = tokio::select! {
        snapshot = source.next() => snapshot?,
        () = stop.asked() => return Ok(()),
    };
    let mut publisher = Publisher::new(
        Arc::clone(&node),
        args.take_over.controllers(),
        None,
        Arc::clone(&board),
    );
    let model = publisher.translate(&snapshot);
    if model.listeners.is_empty() {
        return Err(RunError::NoVip {
            source_name: args.source.to_string(),
        });
    }
    // Before anything of the kernel's is touched.
    Plan::new(&model, &node)?;

    let mut dataplane = Dataplane::open(xdp::Options {
        interfaces: args.interface,
        pin_dir: args.places.pins.pin_dir,
        run_dir: args.places.run_dir,
        tunnel_port: args.tunnel_port,
    })
    .await?;
    let workers = args.workers.map_or_else(cores, usize::from);
    let listeners = Listeners::bind(workers)?;
    dataplane.set_listeners(listeners.v4_fd(), listeners.v6_fd())?;
    let proxy = Arc::new(Proxy::start(listeners, options(&args.log, args.limits))?);
    board.started(&proxy, Some(dataplane.maps()));
    if !publisher.apply(&model, &proxy, &mut dataplane).await {
        return Err(RunError::NotInEffect);
    }
    let heartbeat =
        Heartbeat::start(dataplane.heartbeat()?, Arc::clone(&proxy)).map_err(|cause| RunError::System {
            call: "start the heartbeat's thread",
            cause,
        })?;
    give_way();
    info!(%node, workers, vips = model.listeners.len(), "serving");
    drop((snapshot, model));

    let mut ended = std::pin::pin!(proxy.ended());
    let mut ticks = interval(MSS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            snapshot = source.next() => {
                let model = publisher.translate(&snapshot?);
                publisher.apply(&model, &proxy, &mut dataplane).await;
            }
            _ = ticks.tick() => publisher.fit_segments(&proxy, &dataplane).await,
            ended = &mut ended => return Err(ended.into()),
            () = stop.asked() => break,
        }
    }

    info!(at_most = ?args.drain_timeout, "draining: new connections go to other nodes, open requests finish");
    board.drains();
    // SYNs go elsewhere from here on; packets of open connections still come.
    drop(heartbeat);
    drain(&proxy, args.drain_timeout, &mut stop).await;
    Ok(())
}

/// The request path's settings, as the flags have them.
pub(super) fn options(log: &LogArgs, limits: LimitArgs) -> Options {
    Options {
        captures: Arc::new(log.access_log_format.captures()),
        ..limits.options()
    }
}

/// Lets open requests finish, unless it is asked for a second time.
pub(super) async fn drain(proxy: &Proxy, at_most: Duration, stop: &mut Stop) {
    tokio::select! {
        outcome = proxy.drain(at_most) => {
            info!(finished = outcome.finished, cut = outcome.cut, "drained");
        }
        () = stop.asked() => warn!("asked to stop again: open requests are cut"),
    }
}

/// The source, and the task that follows it.
pub(super) struct Followed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    task: JoinHandle<Result<Infallible, WatchError>>,
}

impl Followed {
    pub(super) async fn start(args: &RunArgs, node: Arc<str>) -> Result<Self, RunError> {
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let task = match &args.source {
            Source::File(folder) => tokio::spawn(file::watch(folder.clone(), node, sender)),
            Source::Kube => {
                let scope = Scope {
                    node,
                    namespaces: args.watch_namespace.clone(),
                    controllers: args.take_over.controllers(),
                    pools: !args.ordinary.no_xdp,
                };
                let (client, identity) = kube::connect(&scope).await?;
                let saved = Saved::new(&args.state_dir, &args.places.run_dir, identity);
                tokio::spawn(async move { Ok(kube::watch(client, scope, saved, sender).await) })
            }
        };
        Ok(Self { snapshots, task })
    }

    /// The next snapshot; an error when there will be none.
    pub(super) async fn next(&mut self) -> Result<Arc<Snapshot>, RunError> {
        match self.snapshots.changed().await {
            Ok(()) => Ok(Arc::clone(&self.snapshots.borrow_and_update())),
            // The task has ended, so this does not wait.
            Err(_) => match (&mut self.task).await {
                Ok(Err(error)) => Err(error.into()),
                Err(panicked) => Err(panicked.into()),
                Ok(Ok(never)) => match never {},
            },
        }
    }
}

/// One worker per core that this process may run on.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets this thread's control work come after the workers' and the heartbeat's, whose threads have started.
pub(super) fn give_way() {
    let own = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(own, 5) {
        warn!(%error, "setpriority: control work may delay requests");
    }
}

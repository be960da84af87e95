//! The life of an agent: start, follow the source, drain, end.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::process::{getpriority_process, setpriority_process};
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::configured::Configured;
use super::files;
use super::followed::{Followed, Objects};
use super::ordinary;
use super::publish::Publisher;
use super::serving::{Doors, Serving};
use super::starter::Starter;
use super::stop::Stop;
use crate::admin::{self, Admin, Board};
use crate::cluster;
use crate::config::{Line, RunArgs, Source, Twice};
use crate::metrics::since_1970;
use crate::model::Opening;
use crate::proxy::{Caps, Captures, Ended, ListenError, Options, Proxy, Setting, Sockets, StartError};
use crate::source::file::WatchError;
use crate::source::kube::ConnectError;
use crate::telemetry::Logs;
use crate::translate::Controllers;
use crate::xdp::sys::SysError;
use crate::xdp::{self, OpenError, PlanError};

/// How often it is looked at whether the network asks for another MSS, and whether certificates begin or end.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// By how much the control thread is nicer than the request path's threads.
const GIVES_WAY: i32 = 5;

/// Why an agent does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command line is none of an agent's.
    #[error(transparent)]
    Line(#[from] clap::Error),
    /// The API server is not known.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// This agent cannot be told from others.
    #[error(transparent)]
    Cluster(#[from] cluster::StartError),
    /// There is nothing to program.
    #[error(
        "no VIP to serve: {source_name} has no VipPool that gives an address to an IngressClass of ours, or the log \
         says why it was refused; serve without VIPs by --no-xdp --listen ADDRESS:PORT, or add a pool, for example:\n{}",
        example_pool(SOME_CLASS)
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

/// A class in an example where it is not known which.
pub(super) const SOME_CLASS: &str = "NAME-OF-AN-INGRESSCLASS";

/// A pool of a class's, to paste.
pub(super) fn example_pool(class: &str) -> String {
    format!(
        "apiVersion: ingress-agent.dev/v1alpha1\n\
         kind: VipPool\n\
         metadata: {{name: edge}}\n\
         spec: {{addresses: [192.0.2.10], classes: ['{class}']}}"
    )
}

/// What every way of serving has in common.
pub(super) struct Settings {
    /// This node's name.
    pub(super) node: Arc<str>,
    pub(super) workers: usize,
    pub(super) options: Options,
    pub(super) controllers: Controllers,
    pub(super) drain_timeout: Duration,
    pub(super) board: Arc<Board>,
    pub(super) starter: Starter,
    /// Where objects come from, of an agent that ends where they have no VIP.
    pub(super) needs_vips: Option<String>,
}

impl Settings {
    fn new(args: &RunArgs, node: Arc<str>, board: Arc<Board>) -> Result<Self, RunError> {
        let starter = Starter::new().map_err(|cause| RunError::System {
            call: "start a thread",
            cause,
        })?;
        let options = Options {
            caps: args.limits.caps().into(),
            captures: args.log.access_log_format.captures().into(),
            ..Options::default()
        };
        Ok(Self {
            node,
            workers: args.workers.map_or_else(cores, usize::from),
            options,
            controllers: args.take_over.controllers(),
            drain_timeout: args.drain_timeout,
            board,
            starter,
            needs_vips: matches!(args.source, Source::File(_)).then(|| args.source.to_string()),
        })
    }

    /// `openings`: where is listened without XDP, and the machine's addresses.
    pub(super) fn publisher(&self, openings: Option<(Vec<Opening>, BTreeSet<IpAddr>)>) -> Publisher {
        let (node, board) = (Arc::clone(&self.node), Arc::clone(&self.board));
        Publisher::new(node, self.controllers, openings, board)
    }

    /// A request path behind these listeners.
    pub(super) async fn proxy(
        &self,
        listeners: impl Into<Sockets> + Send + 'static,
    ) -> Result<Arc<Proxy>, RunError> {
        let options = self.options.clone();
        let started = self.starter.start(|| Proxy::start(listeners, options)).await;
        let proxy = started.map_err(|cause| RunError::System {
            call: "start the workers",
            cause,
        })?;
        Ok(Arc::new(proxy?))
    }
}

/// What other settings reach while it serves.
struct Live<'a> {
    logs: &'a Logs,
    caps: Setting<Caps>,
    captures: Setting<Captures>,
}

impl Live<'_> {
    fn set(&self, args: &RunArgs) {
        self.caps.set(args.limits.caps());
        // Fields are captured for a format before it tells them.
        self.captures.set(args.log.access_log_format.captures());
        self.logs.set(&args.log);
    }
}

/// Serves until SIGTERM or SIGINT, then drains. Must be called in a tokio runtime of its own. `line` is what `args` were
/// read from.
pub async fn run(args: RunArgs, line: Line, logs: &Logs) -> Result<(), RunError> {
    files::take_all();
    let mut stop = Stop::listen().map_err(|cause| RunError::System {
        call: "sigaction",
        cause,
    })?;
    let board = Arc::new(Board::new(Arc::clone(&logs.dropped)));
    if matches!(args.source, Source::Kube) && !args.ordinary.no_xdp {
        // Before this node's Lease is written, which is the other agent's.
        let (run_dir, pin_dir) = (&args.places.run_dir, &args.places.pins.pin_dir);
        xdp::lock::refuse_second(run_dir, pin_dir).map_err(OpenError::from)?;
    }
    let _admin = Admin::start(&args.places.run_dir, args.admin_listen, &board)?;
    let objects = Objects::of(&args.source).await?;
    let mut configured = Configured::start(line, &args, objects.api())?;
    tokio::select! {
        () = configured.ready() => {}
        () = stop.asked() => return Ok(()),
    }
    let args = configured.args();
    let node: Arc<str> = Arc::from(&*args.node);
    let settings = Settings::new(args, Arc::clone(&node), Arc::clone(&board))?;
    let live = Live {
        logs,
        caps: settings.options.caps.clone(),
        captures: settings.options.captures.clone(),
    };
    // Before any object is read, so that a port that is taken is told at once.
    let doors = doors(args, &settings)?;
    let mut source = Followed::start(args, objects, node, &board)?;
    live.set(args);
    configured.tell(&board);
    if let Some(observer) = source.observer() {
        board.coordinates(observer);
    }

    let mut serving = Serving::new(settings, doors);
    let outcome = follow(
        &mut configured,
        &live,
        &board,
        &mut source,
        &mut serving,
        &mut stop,
    )
    .await;
    serving.close().await;
    outcome
}

/// The life between the start and the end.
async fn follow(
    configured: &mut Configured,
    live: &Live<'_>,
    board: &Board,
    source: &mut Followed,
    serving: &mut Serving,
    stop: &mut Stop,
) -> Result<(), RunError> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gives_way = false;
    loop {
        tokio::select! {
            snapshot = source.next() => serving.follow(&snapshot?).await?,
            // By the wall clock, which may jump (OP-15).
            _ = ticks.tick() => match source.aged(since_1970(SystemTime::now()).cast_signed()) {
                Some(snapshot) => serving.follow(&snapshot).await?,
                None => serving.look_again().await?,
            },
            () = configured.changed() => {
                live.set(configured.args());
                serving.leave_within(configured.args().drain_timeout);
                configured.tell(board);
            }
            ended = serving.ended() => return Err(ended.into()),
            () = stop.asked() => break,
        }
        let taking = serving.taking();
        source.takes(taking);
        // Until then it delays no request, and a busy machine would have it start late.
        if taking.connections && !std::mem::replace(&mut gives_way, true) {
            give_way();
        }
    }

    let drain_timeout = configured.args().drain_timeout;
    info!(at_most = ?drain_timeout, "draining: nothing new is taken, open requests finish");
    board.drains();
    source.drains().await;
    serving.turn_away().await;
    let mut drained = std::pin::pin!(serving.drained(drain_timeout));
    loop {
        tokio::select! {
            outcome = &mut drained => {
                info!(finished = outcome.finished, cut = outcome.cut, "drained");
                return Ok(());
            }
            // Requests that are open go on to pods as they are now, and packets to nodes as they are now.
            snapshot = source.next() => {
                serving.go_on(&snapshot?).await;
            }
            () = stop.asked() => {
                warn!("asked to stop again: open requests are cut");
                return Ok(());
            }
        }
    }
}

fn doors(args: &RunArgs, settings: &Settings) -> Result<Doors, RunError> {
    if args.ordinary.no_xdp {
        let openings = args.ordinary.openings()?;
        let balancers = args.ordinary.proxy_protocol_from.clone();
        let bound = Some(ordinary::bind(settings, &openings, balancers)?);
        return Ok(Doors::Listeners { openings, bound });
    }
    let options = xdp::Options {
        interfaces: args.interface.clone(),
        pin_dir: args.places.pins.pin_dir.clone(),
        run_dir: args.places.run_dir.clone(),
        tunnel_port: args.tunnel_port,
        announce_table: args.announce_table,
    };
    Ok(match args.source {
        Source::File(_) => Doors::Vips(options),
        Source::Kube => Doors::Cluster(options),
    })
}

/// One worker per core that this process may run on.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Lets this thread's control work come after the request path, whose threads it does not start.
fn give_way() {
    let own = Some(rustix::thread::gettid());
    let given = getpriority_process(own).and_then(|now| setpriority_process(own, now + GIVES_WAY));
    if let Err(error) = given {
        warn!(%error, "setpriority: control work may delay requests");
    }
}

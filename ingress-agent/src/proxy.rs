//! The L7 path: from an accepted connection to a pod and back.
//!
//! ```text
//! sk_lookup ─▶ listener ─▶ worker ─▶ serve ─▶ [tls] ─▶ guard ─▶ hyper ─▶ forward ─┬─▶ authority, path ─▶ router ─▶ rule
//!                                                                                 ├─▶ header
//!                                                                                 ├─▶ upstream: balance, registry, connect, retry
//!                                                                                 └─▶ body ─▶ access
//! model ─▶ table (swapped whole) ──────────────────────────────────────────────────────▲
//! ```
//!
//! Which VIP a connection came to is the accepted socket's local address: the kernel's steering keeps it. The
//! proxy reads [`crate::model`] and knows neither Kubernetes nor the kernel's maps.

mod access;
mod admission;
mod authority;
mod client;
mod count;
mod deadline;
mod error;
mod forward;
mod guard;
mod header;
mod listener;
mod notice;
mod open;
mod policy;
mod preamble;
mod request_id;
mod router;
mod serve;
mod setting;
mod stream;
mod table;
mod tls;
pub mod trace;
mod tunnel;
mod upstream;
mod wanted;
mod watch;
mod worker;

use std::io;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::join_all;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot, watch as latest};
use tokio::time::timeout;

pub use access::{Captures, Side};
pub use admission::Caps;
pub use count::{BOUNDS_MICROS, CAUSES, CLASSES, Counts, Labels, Limited, METHODS, RouteCounts};
pub use listener::{ListenError, Listeners, Ordinary, Sockets};
pub use setting::Setting;
pub use table::{Memo, Table, TableText};
pub use tls::FallbackError;
pub use upstream::{EndpointHealth, HealthState};
pub use worker::WorkerError;

use admission::Admission;
use notice::Notice;
use tls::{Handshakes, Tls};
use worker::Command;

/// Tasks polled between two looks for new events: a request takes a few, and a look is a system call.
const POLLS: u32 = 256;
/// A worker that takes longer to answer has stopped serving.
const PULSE: Duration = Duration::from_millis(300);

/// The proxy's limits towards clients; those towards pods are the routes' own. A [`Setting`] may be another while it
/// serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// From a request's first byte, or the connection's accept, to the end of its head.
    pub head: Duration,
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long a body is waited for before it must have come at 1 KiB a second.
    pub body: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// How long an answer may wait for the client to take 16 KiB of it, of a connection or of a stream of HTTP/2.
    pub write: Duration,
    /// Requests of a connection of HTTP/2; after them it is to come back on a new one.
    pub life: u64,
    /// How many connections and handshakes there may be.
    pub caps: Setting<Caps>,
    /// What the access log tells of the heads.
    pub captures: Setting<Captures>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body: Duration::from_secs(10),
            handshake: Duration::from_secs(5),
            write: Duration::from_secs(30),
            life: 100_000,
            caps: Setting::default(),
            captures: Setting::default(),
        }
    }
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Tls(#[from] FallbackError),
    #[error("start the thread of worker {worker}: {source}")]
    Thread { worker: usize, source: io::Error },
    #[error("make the tokio runtime of worker {worker}: {source}")]
    Runtime { worker: usize, source: io::Error },
}

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DrainOutcome {
    /// Requests that ended after the drain began.
    pub finished: usize,
    /// Requests that were still open at the deadline.
    pub cut: usize,
}

/// A worker has ended that was not drained: the process cannot serve as it should and is to end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("worker {worker} ended: {reason}")]
pub struct Ended {
    /// Which.
    pub worker: usize,
    /// Why.
    pub reason: Arc<str>,
}

/// What the workers read.
#[derive(Debug, Default)]
struct Live {
    table: Table,
    handshakes: Handshakes,
}

/// The running workers, seen from the control thread.
#[derive(Debug)]
pub struct Proxy {
    live: Arc<ArcSwap<Live>>,
    /// Tables that were in use at their last look; freed here, never by a worker.
    old: Mutex<Vec<Arc<Live>>>,
    tls: Tls,
    workers: Vec<mpsc::UnboundedSender<Command>>,
    counts: Vec<Arc<Counts>>,
    ended: latest::Receiver<Option<Ended>>,
}

impl Proxy {
    /// Starts one worker per set of listeners, on threads of their own. Until the first [`Proxy::swap`] every
    /// connection is closed at once.
    pub fn start(listeners: impl Into<Sockets>, options: Options) -> Result<Self, StartError> {
        let tls = Tls::new()?;
        let live = Arc::new(ArcSwap::from_pointee(Live::default()));
        let (tell_end, ended) = latest::channel(None);
        let (fail, failed) = channel();
        let mut workers = Vec::new();
        let mut shares = Vec::new();
        let mut counts = Vec::new();
        let admission = Arc::new(Admission::new(options.caps.clone()));
        let Sockets { sets, balancers } = listeners.into();
        for (index, sockets) in sets.into_iter().enumerate() {
            let (commands, received) = mpsc::unbounded_channel();
            let notice = Notice::new(index, tell_end.clone());
            let (live, options) = (Arc::clone(&live), options.clone());
            let share = worker::Share {
                sockets,
                balancers: Arc::clone(&balancers),
                counts: Arc::default(),
                admission: Arc::clone(&admission),
            };
            counts.push(Arc::clone(&share.counts));
            let (hand_over, handed) = oneshot::channel();
            shares.push((hand_over, share));
            let fail = fail.clone();
            thread::Builder::new()
                .name(format!("proxy-{index}"))
                .spawn(move || {
                    notice.watch(|| match runtime() {
                        Ok(runtime) => {
                            drop(fail);
                            work(&runtime, live, options, handed, received)
                        }
                        Err(source) => {
                            let worker = index;
                            // The receiver waits for every worker.
                            _ = fail.send(StartError::Runtime { worker, source });
                            Ok(())
                        }
                    });
                })
                .map_err(|source| StartError::Thread {
                    worker: index,
                    source,
                })?;
            workers.push(commands);
        }
        drop(fail);
        // Every worker has what it needs before the first accepts: its connections may take all files there are.
        if let Ok(error) = failed.recv() {
            return Err(error);
        }
        for (hand_over, share) in shares {
            // A worker that has ended by now is told by `ended`.
            _ = hand_over.send(share);
        }
        Ok(Self {
            live,
            old: Mutex::default(),
            tls,
            workers,
            counts,
            ended,
        })
    }

    /// Puts `table` in the place of the one before; requests under way keep the rule they found.
    pub fn swap(&self, table: Table) -> Result<(), rustls::Error> {
        let handshakes = self.tls.handshakes(&table)?;
        let before = self.live.swap(Arc::new(Live { table, handshakes }));
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        old.push(before);
        // A worker holds a table for the length of a lookup. What is still held now goes with the next swap.
        old.retain(|live| Arc::strong_count(live) > 1);
        Ok(())
    }

    /// Whether every worker answered, on its own runtime, within 300 ms.
    pub async fn pulse(&self) -> bool {
        let answers = self.ask(Command::Pulse);
        timeout(PULSE, join_all(answers))
            .await
            .is_ok_and(|answers| answers.iter().all(Result::is_ok))
    }

    /// Sets the largest segment that connections accepted from now on announce, per family.
    pub async fn set_max_segment(&self, v4: u16, v6: u16) -> Result<(), ListenError> {
        for answer in join_all(self.ask(|done| Command::MaxSegment { v4, v6, done })).await {
            // A worker that has ended is told by `ended`.
            answer.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    /// Serves what is open and what is in the accept queues to its end, at the latest until `deadline` has
    /// passed, and ends the workers. SYNs are to go elsewhere before.
    pub async fn drain(&self, deadline: Duration) -> DrainOutcome {
        let answers = self.ask(|done| Command::Drain {
            within: deadline,
            done,
        });
        let mut sum = DrainOutcome::default();
        for outcome in join_all(answers).await.into_iter().flatten() {
            sum.finished += outcome.finished;
            sum.cut += outcome.cut;
        }
        sum
    }

    /// Reads what the workers look requests up in.
    pub fn read<T>(&self, read: impl FnOnce(&Table) -> T) -> T {
        read(&self.live.load_full().table)
    }

    /// What the workers look requests up in, in words.
    pub fn describe(&self) -> TableText {
        TableText::from(&self.live.load_full().table)
    }

    /// How every endpoint of the table does, by address: one entry per address, TLS and server name.
    pub fn endpoints(&self) -> Vec<EndpointHealth> {
        let now = Instant::now();
        let live = self.live.load_full();
        let endpoints = live.table.endpoints();
        endpoints.iter().map(|endpoint| endpoint.tell(now)).collect()
    }

    /// What each worker has counted.
    pub fn counts(&self) -> &[Arc<Counts>] {
        &self.counts
    }

    /// Forgets the series of these objects, which are gone; sorted.
    pub fn forget(&self, gone: &Arc<[Labels]>) {
        for worker in &self.workers {
            // One that has ended counts no more.
            _ = worker.send(Command::Forget(Arc::clone(gone)));
        }
    }

    /// When a worker ends that was not drained. Does not borrow the proxy.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            let found = ended.wait_for(Option::is_some).await;
            let found = found.ok().and_then(|ended| ended.clone());
            match found {
                Some(ended) => ended,
                // Every worker was drained.
                None => std::future::pending().await,
            }
        }
    }

    fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<oneshot::Receiver<T>> {
        let ask = |worker: &mpsc::UnboundedSender<Command>| {
            let (answer, answered) = oneshot::channel();
            // A worker that has ended drops the question, which is an answer too.
            _ = worker.send(command(answer));
            answered
        };
        self.workers.iter().map(ask).collect()
    }
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS)
        .build_local(LocalOptions::default())
}

/// What a worker's thread does once it has its share; without one, where another could not be started, nothing.
fn work(
    runtime: &LocalRuntime,
    live: Arc<ArcSwap<Live>>,
    options: Options,
    share: oneshot::Receiver<worker::Share>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> Result<(), String> {
    let Ok(share) = share.blocking_recv() else {
        return Ok(());
    };
    let ended = runtime.block_on(worker::run(live, options, share, commands));
    ended.map_err(|error| error.to_string())
}

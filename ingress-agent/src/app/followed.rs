//! The source, and the tasks that follow it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::run::{RunError, example_pool};
use crate::admin::Board;
use crate::cluster::{
    Coordination, EventWriter, Observer, Retention, StatusWriter, Taking, record_addresses,
};
use crate::config::{RunArgs, Source};
use crate::source::file::{self, WatchError};
use crate::source::kube::{self, Answers, Api, Fleet, Saved, Scope};
use crate::translate::Snapshot;

/// Where objects come from.
pub(super) enum Objects {
    Folder(PathBuf),
    Cluster(Api),
}

impl Objects {
    /// Asks nothing yet.
    pub(super) async fn of(source: &Source) -> Result<Self, RunError> {
        Ok(match source {
            Source::File(folder) => Self::Folder(folder.clone()),
            Source::Kube => Self::Cluster(kube::connect().await?),
        })
    }

    /// The API server that they come from.
    pub(super) const fn api(&self) -> Option<&Api> {
        match self {
            Self::Folder(_) => None,
            Self::Cluster(api) => Some(api),
        }
    }
}

/// Where snapshots come from.
pub(super) struct Followed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The one that was given last.
    last: Option<Arc<Snapshot>>,
    task: JoinHandle<Result<Infallible, WatchError>>,
    /// What this agent tells the others; none where nodes do not find one another by the API server.
    coordination: Option<Coordination>,
    /// What it does while it leads. Ended when this is dropped.
    _leading: JoinSet<Infallible>,
}

impl Followed {
    pub(super) fn start(
        args: &RunArgs,
        objects: Objects,
        node: Arc<str>,
        board: &Board,
    ) -> Result<Self, RunError> {
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let mut coordination = None;
        let mut leading = JoinSet::new();
        let task = match objects {
            Objects::Folder(folder) => tokio::spawn(file::watch(folder, node, sender)),
            Objects::Cluster(api) => {
                let client = api.client.clone();
                let mut scope = Scope {
                    node: Arc::clone(&node),
                    namespaces: args.watch_namespace.clone(),
                    controllers: args.take_over.controllers(),
                    fleet: Fleet::Alone,
                    pools: !args.ordinary.no_xdp,
                };
                // Without VIPs there is nothing to agree on, but whose it is to publish.
                let publishes = !args.no_publish && (scope.pools || args.namespace.is_some());
                if scope.pools || publishes {
                    let namespace = api.own_namespace(args.namespace.as_deref()).to_owned();
                    let joined = Coordination::start(&client, &namespace, &node, Retention::default())?;
                    scope.fleet = Fleet::Leases {
                        namespace,
                        secret: joined.secret(),
                    };
                    coordination = Some(joined);
                }
                if let Some(joined) = coordination.as_ref().filter(|_| scope.pools) {
                    let leadership = joined.leadership();
                    let record =
                        record_addresses(client.clone(), scope.controllers, leadership, snapshots.clone());
                    leading.spawn(record);
                }
                if let Some(joined) = coordination.as_ref().filter(|_| publishes) {
                    let status = StatusWriter {
                        client: client.clone(),
                        namespaces: scope.namespaces.clone(),
                        controllers: scope.controllers,
                        leadership: joined.leadership(),
                    };
                    leading.spawn(status.publish(board.in_effect()));
                    let events = EventWriter {
                        client: client.clone(),
                        node,
                        controllers: scope.controllers,
                        example_pool: scope.pools.then_some(example_pool),
                        leadership: joined.leadership(),
                    };
                    leading.spawn(events.tell(board.in_effect()));
                }
                let identity = api.cluster.identity(&scope);
                let answers = Answers::default();
                board.hears(answers.clone());
                let saved = Saved::new(&args.state_dir, &args.places.run_dir, identity);
                tokio::spawn(async move { Ok(kube::watch(client, scope, saved, answers, sender).await) })
            }
        };
        Ok(Self {
            snapshots,
            last: None,
            task,
            coordination,
            _leading: leading,
        })
    }

    /// The next snapshot; an error when there will be none.
    pub(super) async fn next(&mut self) -> Result<Arc<Snapshot>, RunError> {
        match self.snapshots.changed().await {
            Ok(()) => {
                let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
                self.last = Some(Arc::clone(&snapshot));
                Ok(snapshot)
            }
            // The task has ended, so this does not wait.
            Err(_) => match (&mut self.task).await {
                Ok(Err(error)) => Err(error.into()),
                Err(panicked) => Err(panicked.into()),
                Ok(Ok(never)) => match never {},
            },
        }
    }

    /// The last snapshot again, if that a certificate begins or ends makes it another at `now`, in seconds since 1970.
    pub(super) fn aged(&mut self, now: i64) -> Option<Arc<Snapshot>> {
        let last = self.last.as_ref()?;
        if !last.is_judged_otherwise_at(now) {
            return None;
        }
        let aged = Snapshot {
            time: now,
            ..Snapshot::clone(last)
        };
        self.last = Some(Arc::new(aged));
        self.last.clone()
    }

    /// Who tells of the others, where they find one another by the API server.
    pub(super) fn observer(&self) -> Option<Observer> {
        self.coordination.as_ref().map(Coordination::observer)
    }

    /// Tells the other agents what this node takes.
    pub(super) fn takes(&self, taking: Taking) {
        if let Some(coordination) = &self.coordination {
            coordination.takes(taking);
        }
    }

    /// Tells the other agents that this one takes no new connections from now on.
    pub(super) async fn drains(&self) {
        if let Some(coordination) = &self.coordination {
            coordination.drain().await;
        }
    }
}

//! The source, and the tasks that follow it.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::run::RunError;
use crate::cluster::{Coordination, record_addresses};
use crate::config::{RunArgs, Source};
use crate::source::file::{self, WatchError};
use crate::source::kube::{self, Fleet, Saved, Scope};
use crate::translate::Snapshot;

/// Where snapshots come from.
pub(super) struct Followed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    task: JoinHandle<Result<Infallible, WatchError>>,
    /// What this agent tells the others; none where nodes do not find one another by the API server.
    coordination: Option<Coordination>,
    /// What the leader writes. Ended when this is dropped.
    _records: JoinSet<()>,
}

impl Followed {
    pub(super) async fn start(args: &RunArgs, node: Arc<str>) -> Result<Self, RunError> {
        let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let mut coordination = None;
        let mut records = JoinSet::new();
        let task = match &args.source {
            Source::File(folder) => tokio::spawn(file::watch(folder.clone(), node, sender)),
            Source::Kube => {
                let (client, cluster) = kube::connect().await?;
                let mut scope = Scope {
                    node: Arc::clone(&node),
                    namespaces: args.watch_namespace.clone(),
                    controllers: args.take_over.controllers(),
                    pools: !args.ordinary.no_xdp,
                    fleet: Fleet::Alone,
                };
                if !args.ordinary.no_xdp {
                    let namespace = args.namespace.clone();
                    let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
                    let joined = Coordination::start(&client, &namespace, &node)?;
                    scope.fleet = Fleet::Leases {
                        namespace,
                        secret: joined.secret(),
                    };
                    let recorder = record_addresses(
                        client.clone(),
                        scope.controllers,
                        joined.leadership(),
                        snapshots.clone(),
                    );
                    records.spawn(async move { match recorder.await {} });
                    coordination = Some(joined);
                }
                let identity = cluster.identity(&scope);
                let saved = Saved::new(&args.state_dir, &args.places.run_dir, identity);
                tokio::spawn(async move { Ok(kube::watch(client, scope, saved, sender).await) })
            }
        };
        Ok(Self {
            snapshots,
            task,
            coordination,
            _records: records,
        })
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

    /// Tells the other agents which membership this one follows.
    pub(super) fn follows(&self, generation: u64) {
        if let Some(coordination) = &self.coordination {
            coordination.follows(generation);
        }
    }

    /// Tells the other agents that this one takes no new connections from now on.
    pub(super) async fn drains(&self) {
        if let Some(coordination) = &self.coordination {
            coordination.drain().await;
        }
    }
}

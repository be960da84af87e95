//! A folder that is being followed, and what a test asks of its snapshots.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::source::file;
use ingress_agent::translate::Snapshot;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::folder::{folder, ingress, services};

pub(crate) struct Watched {
    pub(crate) dir: TempDir,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    watcher: tokio::task::JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Watched {
    pub(crate) async fn new(files: &[(&str, &str)]) -> Self {
        let dir = folder(files);
        let node: Arc<str> = Arc::from("node-a");
        let (sender, mut snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
        let path = dir.path().to_owned();
        let watcher = tokio::spawn(async move {
            let end = file::watch(path, node, sender).await;
            panic!("the watcher ended: {}", end.unwrap_err());
        });
        snapshots.changed().await.unwrap();
        snapshots.mark_unchanged();
        Self {
            dir,
            snapshots,
            watcher,
        }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Waits for a snapshot of which this is true, and says how long that took.
    pub(crate) async fn until(&mut self, what: impl Fn(&Snapshot) -> bool) -> Duration {
        let start = Instant::now();
        let wait = self.snapshots.wait_for(|snapshot| what(snapshot));
        timeout(Duration::from_secs(5), wait)
            .await
            .expect("the change arrives")
            .unwrap();
        start.elapsed()
    }

    /// Watches every snapshot until `done` has come to its end.
    pub(crate) async fn through(
        &mut self,
        holds: impl Fn(&Snapshot) -> bool,
        done: impl Future<Output = ()>,
    ) {
        tokio::pin!(done);
        loop {
            tokio::select! {
                () = &mut done => return assert!(holds(&self.now())),
                changed = self.snapshots.changed() => {
                    changed.unwrap();
                    assert!(holds(&self.now()), "a snapshot lacks objects");
                }
            }
        }
    }
}

pub(crate) fn names(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<_> = snapshot
        .ingresses
        .iter()
        .map(|entry| entry.value.object.name.to_string())
        .collect();
    names.sort();
    names
}

pub(crate) fn paths(snapshot: &Snapshot) -> usize {
    snapshot
        .ingresses
        .iter()
        .flat_map(|entry| &entry.value.rules)
        .map(|rule| rule.paths.len())
        .sum()
}

pub(crate) fn two() -> String {
    ingress("one", "one.test", &[("Prefix", "/", "s"), ("Prefix", "/a", "s")])
        + &services(&["s"])
        + &ingress("two", "two.test", &[("Prefix", "/", "s"), ("Prefix", "/b", "s")])
}

pub(crate) fn is_whole(snapshot: &Snapshot) -> bool {
    names(snapshot) == ["one", "two"]
        && paths(snapshot) == 4
        && snapshot.services.len() == 1
        && snapshot.endpoints.len() == 1
}

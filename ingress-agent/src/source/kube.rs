//! The API server as source.
//!
//! ```text
//! watch (one task per kind) ──digest──▶ Shelf ─┬─▶ Snapshot, the first change at once, the next at most every 20 ms
//! Secrets: a watch of metadata ──▶ get of those that Ingresses of our classes name ─┘
//! ```
//!
//! Objects become digests on their kind's own task and the API types are dropped. Nothing is sent before
//! every kind was listed once and every Secret that is named was asked for. Nodes come from the Leases of their
//! agents ([`roster`]). What the API server does not answer
//! stays as it was: a list that fails changes nothing, an object that a new list lacks stays for
//! [`HELD`](shelf::HELD), and only an explicit delete acts at once. Until the first lists are there, what a former
//! agent [saved](Saved) is sent.

mod answers;
mod arrived;
mod client;
mod configmap;
mod kind;
mod members;
mod roster;
pub mod saved;
mod secrets;
mod shelf;
mod shelves;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use tokio::sync::{Notify, watch as channel};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::translate::{Controllers, Snapshot, named_secrets};

pub use answers::Answers;
pub use client::{Api, ClusterId, ConnectError, Identity, connect, connect_by};
pub use configmap::{CONFIG_MAP, Data, Known, Origin, Trouble, watch_config};
pub use members::Fleet;
pub use saved::Saved;
use secrets::Secrets;
use shelves::Shelves;

/// The least time between two snapshots.
const QUIET: Duration = Duration::from_millis(20);
/// How long a snapshot waits for Secrets that an Ingress has come to name, so that its host is not shown the
/// default certificate for the moment that asking takes.
const ASKING: Duration = Duration::from_secs(1);

/// What of the cluster is watched.
#[derive(Clone, Debug)]
pub struct Scope {
    /// This node's name.
    pub node: Arc<str>,
    /// The namespaces whose objects are read; empty: all.
    pub namespaces: Vec<String>,
    /// Whose classes are ours: the Secrets that their Ingresses name are asked for.
    pub controllers: Controllers,
    /// How the nodes find one another.
    pub fleet: Fleet,
    /// Whether VIPs are served: VipPools are watched then.
    pub pools: bool,
}

/// Sends what was saved, if that can be, then what the cluster holds, then a new snapshot whenever a digest has
/// changed; `answers` tells when the API server was last heard. Ends only by being dropped.
pub async fn watch(
    client: Client,
    scope: Scope,
    saved: Saved,
    answers: Answers,
    snapshots: channel::Sender<Arc<Snapshot>>,
) -> Infallible {
    let changed = Arc::new(Notify::new());
    let mut shelves = Shelves::watch(&client, &answers, &scope, &changed);
    let mut secrets = Secrets::watch(&client, &answers, &scope, &changed);
    let saved = Arc::new(saved);
    let restored = restore(&saved, &scope.node).await;
    let mut kept = restored
        .as_ref()
        .map_or_else(Vec::new, |snapshot| snapshot.secrets.clone());
    if let Some(snapshot) = restored {
        snapshots.send_replace(snapshot);
    }
    let mut saving = JoinSet::new();
    let mut next_at = Instant::now();
    let mut sent = false;
    // What is to be sent once its Secrets are there, and since when it waits.
    let mut waiting: Option<(Snapshot, Instant)> = None;
    let mut is_stale = true;
    loop {
        let now = Instant::now();
        if is_stale && shelves.name_all_secrets() && secrets.are_listed() {
            let snapshot = shelves.snapshot(&scope.node, now);
            secrets.ask_for(&named_secrets(&snapshot, scope.controllers));
            // The first lists of other kinds may take longer than that of the Ingresses.
            if shelves.are_listed() {
                is_stale = false;
                let since = waiting.map_or(now, |(_, since)| since);
                waiting = Some((snapshot, since));
            }
        }
        // The first one waits for all of its Secrets, each of which is answered or fails.
        let is_due = |since: Instant| !secrets.are_awaited() || (sent && now >= since + ASKING);
        if let Some((mut snapshot, _)) = waiting.take_if(|(_, since)| is_due(*since)) {
            secrets.enter(&mut snapshot);
            saved::keep_unreadable(&mut snapshot, &mut kept);
            let snapshot = Arc::new(snapshot);
            let is_first = !std::mem::replace(&mut sent, true);
            let was_sent = snapshots.send_if_modified(|last| {
                let news = is_first || !snapshot.is_unchanged_since(last);
                if news {
                    *last = Arc::clone(&snapshot);
                }
                news
            });
            if is_first {
                saving.spawn(Arc::clone(&saved).follow(snapshots.subscribe()));
            }
            if was_sent {
                next_at = Instant::now() + QUIET;
            }
        }
        let overdue = waiting.as_ref().map(|(_, since)| *since + ASKING);
        let wake = [overdue, shelves.next_change(), secrets.next_change()];
        let wake = wake.into_iter().flatten().min();
        // Before the first one only news count.
        let wake = wake.filter(|_| sent);
        tokio::select! {
            () = changed.notified() => is_stale = true,
            // They belong to what waits, or else make something new.
            () = secrets.answered() => is_stale |= waiting.is_none(),
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => is_stale = true,
        }
        sleep_until(next_at).await;
    }
}

/// What was saved, as of now.
async fn restore(saved: &Arc<Saved>, node: &Arc<str>) -> Option<Arc<Snapshot>> {
    let (saved, node) = (Arc::clone(saved), Arc::clone(node));
    let loaded = spawn_blocking(move || saved.load(&node, now())).await;
    match loaded {
        Ok(snapshot) => snapshot.map(Arc::new),
        Err(panicked) => {
            warn!(error = %panicked, "what was saved is ignored");
            None
        }
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests;

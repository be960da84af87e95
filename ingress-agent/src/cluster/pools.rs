//! The leader's records of who has which address: the status of every VipPool.
//!
//! A decision is made of a snapshot and written over the very pools that it was made of: when the API server has
//! others, the watch is behind and brings them, and the decision is made anew. So what two leaders at once decide
//! is never mixed, and no address that a node may serve already is given to another.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::info;

use super::Leadership;
use super::allocate::{Decision, allocate};
use super::request::{Patience, RequestError};
use super::trouble::Trouble;
use crate::digest::vippool::{self, VipPool};
use crate::translate::{Controllers, Snapshot};

/// How long a request may take at first.
const ANSWER: Duration = Duration::from_secs(2);
/// Until what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Decisions by pool.
type Decisions = BTreeMap<Arc<str>, Decision>;

/// Keeps the pools' status as the snapshots have it while this process leads. Ends only by being dropped.
pub async fn record(
    client: Client,
    controllers: Controllers,
    mut leadership: Leadership,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
) -> Infallible {
    let mut recorder = Recorder {
        api: Api::all(client),
        controllers,
        leadership: leadership.clone(),
        patience: Patience::new(ANSWER),
        trouble: Trouble::new("writing the status of VipPools"),
    };
    loop {
        leadership.for_a_term(recorder.follow(&mut snapshots)).await;
    }
}

struct Recorder {
    api: Api<VipPool>,
    controllers: Controllers,
    leadership: Leadership,
    patience: Patience,
    trouble: Trouble,
}

/// What became of decisions.
enum Outcome {
    /// The API server has them.
    Recorded,
    /// It has other pools than they were made of.
    Behind,
    /// Somebody wrote or deleted one at the same time, or leads by now.
    Conflict,
}

impl Recorder {
    async fn follow(&mut self, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Infallible {
        let mut recorded = Decisions::new();
        loop {
            self.leadership.holds().await;
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let decisions = allocate(&snapshot, self.controllers);
            if let Some(decisions) = decisions.filter(|new| !is_known(new, &recorded, &snapshot)) {
                match self.write(&snapshot, &decisions).await {
                    Ok(Outcome::Recorded) => {
                        self.trouble.over();
                        recorded = decisions;
                    }
                    Ok(Outcome::Behind) => self.trouble.over(),
                    Ok(Outcome::Conflict) => continue,
                    Err(error) => {
                        self.trouble.tell(&error);
                        sleep(AGAIN).await;
                        continue;
                    }
                }
            }
            if snapshots.changed().await.is_err() {
                // There is no source any more.
                return pending().await;
            }
        }
    }

    async fn write(&mut self, snapshot: &Snapshot, decisions: &Decisions) -> Result<Outcome, RequestError> {
        let everything = ListParams::default();
        let there = match self.patience.answer(self.api.list(&everything)).await {
            Ok(list) => list.items,
            // The API server knows no such kind any more.
            Err(RequestError::Outdated) => return Ok(Outcome::Behind),
            Err(error) => return Err(error),
        };
        if !is_made_of(snapshot, &there) {
            return Ok(Outcome::Behind);
        }
        let mut refused = None;
        for mut pool in there {
            let name = pool.metadata.name.clone().unwrap_or_default();
            let now = Time(Timestamp::now());
            let last = pool.status.take().unwrap_or_default();
            let status = decisions.get(&*name).and_then(|new| new.status(&last, &now));
            let Some(status) = status else {
                continue;
            };
            if !self.leadership.is_held() {
                return Ok(Outcome::Conflict);
            }
            let (used, free) = (status.used, status.free);
            pool.status = Some(status);
            // With the version that was read: another's write in between is not overwritten.
            let parameters = PostParams::default();
            let replaced = self.api.replace_status(&name, &parameters, &pool);
            match self.patience.answer(replaced).await {
                Ok(_) => info!(pool = name, used, free, "addresses recorded"),
                Err(RequestError::Outdated) => return Ok(Outcome::Conflict),
                // This one's: the others get theirs.
                Err(error) if error.is_refusal() => {
                    refused.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        refused.map_or(Ok(Outcome::Recorded), Err)
    }
}

/// Whether these decisions were recorded, and are still there as far as the watch tells.
fn is_known(new: &Decisions, recorded: &Decisions, snapshot: &Snapshot) -> bool {
    let mut pools = snapshot.pools.iter().map(|entry| &entry.value);
    new == recorded
        && pools.all(|pool| {
            let decision = new.get(&pool.object.name);
            decision.is_some_and(|decision| decision.is_recorded(&pool.assignments))
        })
}

/// Whether a snapshot has these pools and no others.
fn is_made_of(snapshot: &Snapshot, pools: &[VipPool]) -> bool {
    let known: BTreeMap<_, _> = snapshot
        .pools
        .iter()
        .map(|entry| (&*entry.value.object.name, &entry.value))
        .collect();
    let is_known = |pool: &VipPool| {
        let last = pool.metadata.name.as_deref().and_then(|name| known.get(name));
        last.is_some_and(|last| Arc::ptr_eq(&vippool::digest(pool.clone(), Some(last)), last))
    };
    known.len() == pools.len() && pools.iter().all(is_known)
}

#[cfg(test)]
mod tests;

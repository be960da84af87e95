//! The leader's hand: numbers into Leases, and Leases away that ended long ago.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{Given, Numbers};
use crate::backoff::paced;
use crate::cluster::leader::Leadership;
use crate::cluster::lease::Judge;
use crate::cluster::request::{Patience, RequestError};
use crate::cluster::trouble::Trouble;
use crate::cluster::{clock, watching};
use crate::digest::lease::{Beat, LABEL, digest, number_annotation};

/// How long a request may take at first.
const ANSWER: Duration = Duration::from_secs(2);
/// Until a write that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked for Leases that have ended.
const LOOK: Duration = Duration::from_secs(30);

/// Writes whenever this process leads, for ever. `own`: the name of its node's Lease; `gone`: after what a Lease that
/// ended is deleted.
pub(in crate::cluster) async fn lead(
    api: Api<Lease>,
    own: String,
    gone: Duration,
    numbers: Arc<Mutex<Numbers>>,
    mut leadership: Leadership,
) -> Infallible {
    loop {
        let writer = Writer {
            api: api.clone(),
            numbers: Arc::clone(&numbers),
            leadership: leadership.clone(),
            leases: BTreeMap::new(),
            gone,
            judge: Judge::new(&own),
            patience: Patience::new(ANSWER),
            reading: Trouble::new("reading the nodes' Leases"),
            writing: Trouble::new("giving the nodes their numbers"),
        };
        leadership.for_a_term(writer.write()).await;
    }
}

struct Writer {
    api: Api<Lease>,
    numbers: Arc<Mutex<Numbers>>,
    leadership: Leadership,
    leases: BTreeMap<String, Known>,
    gone: Duration,
    judge: Judge,
    patience: Patience,
    reading: Trouble,
    writing: Trouble,
}

/// What the leader needs of a Lease.
struct Known {
    node: Arc<str>,
    number: Option<NonZeroU16>,
    uid: Option<String>,
    /// As it was seen last; `None`: it has another by now, which the watch will show.
    version: Option<String>,
}

impl Writer {
    async fn write(mut self) -> Infallible {
        let (key, value) = LABEL;
        let config = watching::config().labels(&format!("{key}={value}"));
        let mut events = paced(watcher::watcher(self.api.clone(), config));
        let mut listed: Option<BTreeMap<String, Known>> = None;
        let mut is_listed = false;
        let mut pause = LOOK;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        // A list that begins has no answer yet.
                        if !matches!(event, Event::Init) {
                            self.reading.over();
                        }
                        match event {
                            Event::Init => listed = Some(BTreeMap::new()),
                            Event::InitApply(lease) => {
                                let (name, known) = self.see(lease);
                                listed.get_or_insert_default().insert(name, known);
                            }
                            Event::InitDone => {
                                self.leases = listed.take().unwrap_or_default();
                                self.judge.retain(|name| self.leases.contains_key(name));
                                is_listed = true;
                            }
                            Event::Apply(lease) => {
                                let (name, known) = self.see(lease);
                                self.leases.insert(name, known);
                            }
                            Event::Delete(lease) => {
                                let name = lease.metadata.name.unwrap_or_default();
                                self.leases.remove(&name);
                                self.judge.retain(|other| other != name);
                            }
                        }
                    }
                    Some(Err(error)) => self.reading.tell(&error),
                    // A watch does not end.
                    None => return pending().await,
                },
                () = sleep(pause) => {}
            }
            if !is_listed {
                continue;
            }
            pause = LOOK;
            if let Err(error) = self.catch_up().await {
                self.writing.tell(&error);
                pause = AGAIN;
            }
        }
    }

    fn see(&mut self, lease: Lease) -> (String, Known) {
        let name = lease.metadata.name.clone().unwrap_or_default();
        self.judge.see(&name, Beat::of(&lease), clock::now());
        let (uid, version) = (
            lease.metadata.uid.clone(),
            lease.metadata.resource_version.clone(),
        );
        let value = digest(lease, None);
        let known = Known {
            node: Arc::clone(&value.node),
            number: value.number,
            uid,
            version,
        };
        (name, known)
    }

    /// Writes what is to be written now.
    async fn catch_up(&mut self) -> Result<(), RequestError> {
        let now = clock::now();
        let nodes = self.leases.values().filter(|known| !known.node.is_empty());
        let nodes = nodes.map(|known| (Arc::clone(&known.node), known.number));
        let given = self
            .numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .assign(&nodes.collect(), now);
        let is_over = given.is_empty();
        let mut refused = None;
        for given in given {
            note(self.give(given).await, &mut refused)?;
        }
        let over = |name: &&String| {
            self.judge
                .over_for(name, now)
                .is_some_and(|over| over >= self.gone)
        };
        let gone: Vec<_> = self.leases.keys().filter(over).cloned().collect();
        let is_over = is_over && gone.is_empty();
        for name in gone {
            note(self.delete(&name).await, &mut refused)?;
        }
        if is_over {
            self.writing.over();
        }
        refused.map_or(Ok(()), Err)
    }

    async fn give(&mut self, given: Given) -> Result<(), RequestError> {
        let Given {
            node,
            number,
            instead_of,
        } = given;
        let Some(number) = number else {
            error!(%node, "all numbers from 1 to 4095 are in use or rest: the node is no member");
            return Ok(());
        };
        let Some((name, known)) = self.leases.iter_mut().find(|(_, known)| known.node == node) else {
            return Ok(());
        };
        // Once for each version: whoever tries all that are behind again at every event never catches up with a hundred
        // that renew their Leases.
        if known.version.is_none() || !self.leadership.is_held() {
            return Ok(());
        }
        let (key, value) = number_annotation(number);
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": known.version, "annotations": {key: value}},
        }));
        let parameters = PatchParams::default();
        let patched = self.api.patch(name, &parameters, &patch);
        match self.patience.answer(patched).await {
            Ok(written) => {
                known.version = written.metadata.resource_version;
                known.number = Some(number);
                match instead_of {
                    Some(before) => warn!(
                        %node, %number, %before,
                        "the number in the node's Lease is another node's or was until lately: it is given its own"
                    ),
                    None => info!(%node, %number, "gives the node its number"),
                }
                Ok(())
            }
            // The watch shows what it is now, and then it is decided anew.
            Err(RequestError::Outdated) => {
                known.version = None;
                Ok(())
            }
            Err(error) => {
                if error.is_refusal() {
                    known.version = None;
                }
                Err(error)
            }
        }
    }

    async fn delete(&mut self, name: &str) -> Result<(), RequestError> {
        let Some(known) = self.leases.get(name) else {
            return Ok(());
        };
        if known.version.is_none() || !self.leadership.is_held() {
            return Ok(());
        }
        let as_seen = DeleteParams::default().preconditions(Preconditions {
            resource_version: known.version.clone(),
            uid: known.uid.clone(),
        });
        match self.patience.answer(self.api.delete(name, &as_seen)).await {
            Ok(_) => {
                info!(node = %known.node, "its Lease ended {:?} ago: the node is no member any more", self.gone);
                Ok(())
            }
            Err(RequestError::Outdated) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Remembers the first refusal, which holds up no other node's; whatever else fails ends the round.
fn note(outcome: Result<(), RequestError>, refused: &mut Option<RequestError>) -> Result<(), RequestError> {
    match outcome {
        Err(error) if error.is_refusal() => {
            refused.get_or_insert(error);
            Ok(())
        }
        outcome => outcome,
    }
}

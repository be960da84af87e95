//! The leader's hand: numbers into Leases, and Leases away that ended long ago.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::register::{Ended, Register, Write};
use super::{Given, Numbers};
use crate::backoff::paced;
use crate::cluster::leadership::Leadership;
use crate::cluster::request::{Patience, RequestError};
use crate::cluster::trouble::Trouble;
use crate::cluster::{clock, watching};
use crate::digest::lease::{LABEL, number_annotation};

/// How long a request may take at first.
const ANSWER: Duration = Duration::from_secs(2);
/// How often it is looked for Leases that have ended and for numbers that rest no more.
const LOOK: Duration = Duration::from_secs(5);

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
            register: Register::new(&own, gone),
            gone,
            patience: Patience::new(ANSWER),
            reading: Trouble::new("reading the nodes' Leases"),
            writing: Trouble::new("giving nodes their numbers"),
        };
        leadership.for_a_term(writer.follow()).await;
    }
}

struct Writer {
    api: Api<Lease>,
    numbers: Arc<Mutex<Numbers>>,
    leadership: Leadership,
    register: Register,
    gone: Duration,
    patience: Patience,
    reading: Trouble,
    writing: Trouble,
}

impl Writer {
    async fn follow(mut self) -> Infallible {
        let (key, value) = LABEL;
        let config = watching::config().labels(&format!("{key}={value}"));
        let mut events = paced(watcher::watcher(self.api.clone(), config));
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_idle = true;
        loop {
            tokio::select! {
                // What came meanwhile goes first, so that each write is over the newest version that is known.
                biased;
                event = events.next() => {
                    match event {
                        Some(Ok(event)) => self.take(event),
                        Some(Err(error)) => self.reading.tell(&error),
                        // A watch does not end.
                        None => return pending().await,
                    }
                    is_idle = false;
                }
                _ = looks.tick() => {
                    self.register.time_passes();
                    for ended in self.register.ended(clock::now()) {
                        let answer = self.delete(&ended).await;
                        self.tell(answer);
                    }
                    is_idle = false;
                }
                () = ready(()), if !is_idle => match self.next() {
                    Some(write) => {
                        let answer = self.give(&write).await;
                        self.tell(answer);
                    }
                    None => is_idle = true,
                },
            }
        }
    }

    fn take(&mut self, event: Event<Lease>) {
        // A list that begins has no answer yet.
        if !matches!(event, Event::Init) {
            self.reading.over();
        }
        match event {
            Event::Init => self.register.list_begins(),
            Event::InitApply(lease) => self.register.list(lease, clock::now()),
            Event::InitDone => self.register.list_ends(),
            Event::Apply(lease) => self.register.see(lease, clock::now()),
            Event::Delete(lease) => self.register.forget(&lease.metadata.name.unwrap_or_default()),
        }
    }

    fn next(&mut self) -> Option<Write> {
        if !self.leadership.is_held() {
            return None;
        }
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        self.register.next(&mut numbers, clock::now())
    }

    async fn give(&mut self, write: &Write) -> Result<(), RequestError> {
        let Given {
            node,
            number,
            instead_of,
        } = &write.given;
        let Some(number) = *number else {
            error!(%node, "all numbers from 1 to 4095 are in use or rest: the node is no member");
            return Ok(());
        };
        let (key, value) = number_annotation(number);
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": write.version, "annotations": {key: value}},
        }));
        let parameters = PatchParams::default();
        let patched = self.api.patch(&write.name, &parameters, &patch);
        let written = self.patience.answer(patched).await?;
        self.register.wrote(write, written.metadata.resource_version);
        match instead_of {
            Some(before) => warn!(
                %node, %number, %before,
                "the number in the node's Lease is another node's or was until lately: it is given its own"
            ),
            None => info!(%node, %number, "gives the node its number"),
        }
        Ok(())
    }

    async fn delete(&mut self, ended: &Ended) -> Result<(), RequestError> {
        if !self.leadership.is_held() {
            return Ok(());
        }
        let as_seen = DeleteParams::default().preconditions(Preconditions {
            resource_version: Some(ended.version.clone()),
            uid: ended.uid.clone(),
        });
        let deleted = self.api.delete(&ended.name, &as_seen);
        self.patience.answer(deleted).await?;
        info!(
            node = %ended.node,
            "its Lease ended {:?} ago: the node is no member any more",
            self.gone
        );
        Ok(())
    }

    fn tell(&mut self, answer: Result<(), RequestError>) {
        match answer {
            // What it is now the watch shows, and then it is decided anew.
            Ok(()) | Err(RequestError::Outdated) => self.writing.over(),
            Err(error) => self.writing.tell(&error),
        }
    }
}

//! The leader's hand: numbers into Leases, and Leases away that ended long ago.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::Numbers;
use super::register::{Ended, Register, Write};
use crate::backoff::paced;
use crate::cluster::leadership::Leadership;
use crate::cluster::request::{RequestError, answer};
use crate::cluster::trouble::Trouble;
use crate::cluster::{clock, watching};
use crate::digest::lease::{LABEL, number_annotation};

/// Writes at the same time.
const AT_ONCE: usize = 16;
/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(15);
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
            reading: Trouble::new("reading the nodes' Leases"),
            writing: Trouble::new("giving nodes numbers and deleting Leases that ended"),
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
        let mut writes = FuturesUnordered::new();
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
                Some((number, write, answer)) = writes.next() => self.wrote(number, &write, answer),
                _ = looks.tick() => {
                    self.register.time_passes();
                    for ended in self.register.ended(clock::now()) {
                        self.delete(&ended).await;
                    }
                    is_idle = false;
                }
                () = ready(()), if !is_idle && writes.len() < AT_ONCE => match self.next() {
                    Some(write) => match write.given.number {
                        Some(number) => writes.push(give(self.api.clone(), number, write)),
                        None => error!(
                            node = %write.given.node,
                            "all numbers from 1 to 4095 are in use or rest: the node is no member"
                        ),
                    },
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

    fn wrote(&mut self, number: NonZeroU16, write: &Write, answer: Result<Lease, RequestError>) {
        match answer {
            Ok(lease) => {
                self.writing.over();
                self.register.wrote(write, lease.metadata.resource_version);
                let node = &write.given.node;
                match write.given.instead_of {
                    Some(before) => warn!(
                        %node, %number, %before,
                        "the number in the node's Lease is another node's or was until lately: it is given its own"
                    ),
                    None => info!(%node, %number, "gives the node its number"),
                }
            }
            // The watch shows what it is now.
            Err(RequestError::Outdated) => self.writing.over(),
            Err(error) => self.writing.tell(&error),
        }
    }

    async fn delete(&mut self, ended: &Ended) {
        if !self.leadership.is_held() {
            return;
        }
        let as_seen = DeleteParams::default().preconditions(Preconditions {
            resource_version: Some(ended.version.clone()),
            uid: ended.uid.clone(),
        });
        match answer(ANSWER, self.api.delete(&ended.name, &as_seen)).await {
            Ok(_) => {
                self.writing.over();
                info!(
                    node = %ended.node,
                    "its Lease ended {:?} ago: the node is no member any more",
                    self.gone
                );
            }
            Err(RequestError::Outdated) => self.writing.over(),
            Err(error) => self.writing.tell(&error),
        }
    }
}

async fn give(
    api: Api<Lease>,
    number: NonZeroU16,
    write: Write,
) -> (NonZeroU16, Write, Result<Lease, RequestError>) {
    let (key, value) = number_annotation(number);
    let patch = Patch::Merge(json!({
        "metadata": {"resourceVersion": write.version, "annotations": {key: value}},
    }));
    let parameters = PatchParams::default();
    let answer = answer(ANSWER, api.patch(&write.name, &parameters, &patch)).await;
    (number, write, answer)
}

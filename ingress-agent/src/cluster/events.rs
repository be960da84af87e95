//! Events for what is refused or degraded, in the words of the report, by whoever leads.
//!
//! Each thing has one Event, whoever leads: its name is made of what it says. While it is so, and when another comes to
//! lead, the Event is written again as a series, as the API server forgets it otherwise.
//!
//! An Event is written over the version that was known before the last look at who leads. One that is made is over none:
//! what a leader that was paused makes too late is what others made, or an Event of what was so before the pause.

mod agenda;
mod telling;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::request::{RequestError, answer};
use super::trouble::Trouble;
use super::{Leadership, clock};
use crate::model::ObjectRef;
use crate::translate::{Controllers, Served, our_classes};
use agenda::{Agenda, Said};
use telling::{Telling, api_version, tellings};

/// The least time between two Events: ten thousand Ingresses with a fault each must not drown the API server.
const PACE: Duration = Duration::from_millis(50);
/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How long nothing is asked of an API server that did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// Who makes Events.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct EventWriter {
    /// The API server.
    pub client: Client,
    /// This node's name.
    pub node: Arc<str>,
    /// Whose classes are served.
    pub controllers: Controllers,
    /// What is pasted to make a VipPool for a class, where VIPs are served: said of our classes while there is none.
    pub example_pool: Option<fn(&str) -> String>,
    /// Whether it is this process's to do.
    pub leadership: Leadership,
}

impl EventWriter {
    /// Tells what is wrong while this process leads. Ends only by being dropped.
    pub async fn tell(self, mut served: watch::Receiver<Option<Arc<Served>>>) -> Infallible {
        let mut agenda = Agenda::default();
        let mut leadership = self.leadership.clone();
        loop {
            leadership.for_a_term(self.follow(&mut served, &mut agenda)).await;
        }
    }

    async fn follow(
        &self,
        served: &mut watch::Receiver<Option<Arc<Served>>>,
        agenda: &mut Agenda,
    ) -> Infallible {
        let mut trouble = Trouble::new("making Events");
        served.mark_changed();
        loop {
            let now = clock::now();
            let next = agenda.next();
            let pause = next.map(|(_, _, due)| due.saturating_sub(now));
            tokio::select! {
                biased;
                changed = served.changed() => {
                    if changed.is_err() {
                        // Nothing is served any more.
                        return pending().await;
                    }
                    let served = served.borrow_and_update().clone();
                    agenda.set(served.iter().flat_map(|served| self.current(served)).collect());
                    continue;
                }
                () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
            let Some((telling, said, due)) = next else {
                continue;
            };
            let (telling, said, is_new) = (telling.clone(), said.cloned(), due.is_zero());
            let outcome = self.say(&telling, said).await;
            let pause = match &outcome {
                Ok(_) => {
                    trouble.over();
                    PACE
                }
                Err(error) if error.is_refusal() => {
                    if is_new {
                        let ObjectRef {
                            kind,
                            namespace,
                            name,
                        } = &telling.object;
                        warn!(kind, %namespace, %name, %error, "an Event cannot be made: it is tried again");
                    }
                    PACE
                }
                Err(error) => {
                    trouble.tell(error);
                    AGAIN
                }
            };
            agenda.tried(&telling, outcome.unwrap_or_default(), clock::now());
            sleep(pause).await;
        }
    }

    fn current(&self, served: &Served) -> Vec<Telling> {
        let snapshot = &served.snapshot;
        if snapshot.restored {
            return Vec::new();
        }
        let mut current: Vec<_> = tellings(&served.report.findings).collect();
        if let Some(example) = self.example_pool.filter(|_| snapshot.pools.is_empty()) {
            let classes = our_classes(snapshot, self.controllers);
            current.extend(classes.map(|class| Telling::no_pool(class, &example(&class.value.object.name))));
        }
        current
    }

    /// Makes the Event, or writes it again. `None`: somebody else wrote at the same time, or leads.
    async fn say(&self, telling: &Telling, said: Option<Said>) -> Result<Option<Said>, RequestError> {
        let uid = self.uid(&telling.object).await?;
        let now = MicroTime(Timestamp::now());
        let event = telling.event(uid, &self.node, now.clone());
        let name = event.metadata.name.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), telling.namespace());
        let mut said = said.filter(|said| said.name == name);
        if said.is_none() {
            if !self.leadership.is_held() {
                return Ok(None);
            }
            match answer(ANSWER, api.create(&PostParams::default(), &event)).await {
                Ok(made) => return Ok(Some(Said::of(made))),
                // A former leader said it.
                Err(RequestError::Outdated) => said = answer(ANSWER, api.get_opt(&name)).await?.map(Said::of),
                Err(error) => return Err(error),
            }
        }
        let Some(said) = said.filter(|_| self.leadership.is_held()) else {
            return Ok(None);
        };
        let series = EventSeries {
            count: said.count.saturating_add(1),
            last_observed_time: now,
        };
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": said.version},
            "series": series,
        }));
        match answer(ANSWER, api.patch(&name, &PatchParams::default(), &patch)).await {
            Ok(written) => Ok(Some(Said::of(written))),
            Err(RequestError::Outdated) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What `kubectl describe` finds an object's Events by. By a list, for which the source has the right.
    async fn uid(&self, object: &ObjectRef) -> Result<Option<String>, RequestError> {
        let version = api_version(object.kind);
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object.kind));
        let api: Api<DynamicObject> = if object.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &object.namespace, &resource)
        };
        let named = ListParams::default().fields(&format!("metadata.name={}", object.name));
        let list = answer(ANSWER, api.list_metadata(&named)).await?;
        let uids = list.items.into_iter().map(|found| found.metadata.uid);
        Ok(uids.flatten().next())
    }
}

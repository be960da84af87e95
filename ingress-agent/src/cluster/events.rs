//! Events for what is refused or degraded, in the words of the report, by whoever leads.
//!
//! Each thing is said once: an Event's name is made of what it says, so that another leader does not say it again.

mod telling;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Leadership;
use super::request::{RequestError, answer};
use super::trouble::Trouble;
use crate::model::ObjectRef;
use crate::translate::{Controllers, Served, our_classes};
use telling::{Telling, api_version, tellings};

/// The least time between two Events: ten thousand Ingresses with a fault each must not drown the API server.
const PACE: Duration = Duration::from_millis(50);
/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(15);
/// Until what failed is tried again.
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
    /// What is pasted to make a VipPool, where VIPs are served: said of our classes while there is none.
    pub example_pool: Option<&'static str>,
    /// Whether it is this process's to do.
    pub leadership: Leadership,
}

impl EventWriter {
    /// Tells what is wrong while this process leads. Ends only by being dropped.
    pub async fn tell(self, mut served: watch::Receiver<Option<Arc<Served>>>) -> Infallible {
        let (mut won, mut lost) = (self.leadership.clone(), self.leadership.clone());
        let mut told = BTreeSet::new();
        loop {
            won.is_won().await;
            tokio::select! {
                () = lost.is_lost() => {}
                never = self.follow(&mut served, &mut told) => match never {},
            }
        }
    }

    async fn follow(
        &self,
        served: &mut watch::Receiver<Option<Arc<Served>>>,
        told: &mut BTreeSet<Telling>,
    ) -> Infallible {
        let mut trouble = Trouble::new("making Events");
        loop {
            let now = served.borrow_and_update().clone();
            let current: BTreeSet<_> = now.iter().flat_map(|now| self.current(now)).collect();
            // What is no longer so may be said again when it is.
            told.retain(|telling| current.contains(telling));
            let next = current.into_iter().find(|telling| !told.contains(telling));
            let Some(next) = next.filter(|_| self.leadership.is_held()) else {
                if served.changed().await.is_err() {
                    // Nothing is served any more.
                    return std::future::pending().await;
                }
                continue;
            };
            match self.say(&next).await {
                Ok(()) => {
                    trouble.over();
                    told.insert(next);
                    sleep(PACE).await;
                }
                Err(error) => {
                    trouble.tell(&error);
                    sleep(AGAIN).await;
                }
            }
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
            current.extend(classes.map(|class| Telling::no_pool(class, example)));
        }
        current
    }

    async fn say(&self, telling: &Telling) -> Result<(), RequestError> {
        let uid = self.uid(&telling.object).await?;
        let event = telling.event(uid, &self.node, MicroTime(Timestamp::now()));
        let api: Api<Event> = Api::namespaced(self.client.clone(), telling.namespace());
        let parameters = PostParams::default();
        match answer(ANSWER, api.create(&parameters, &event)).await {
            // It is there: a former leader said it, or its namespace goes away with the object.
            Ok(_) | Err(RequestError::Outdated) => Ok(()),
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

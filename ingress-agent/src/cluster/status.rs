//! The addresses of Ingresses, in `status.loadBalancer.ingress`, written by whoever leads.
//!
//! They are written once this process serves them, and taken away when they are given to somebody else or to nobody;
//! a node that lags behind changes nothing. Each write is over the version that it was decided of.

mod roll;

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, SelectAll, StreamExt as _};
use k8s_openapi::api::networking::v1::{Ingress, IngressStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Leadership;
use super::request::{RequestError, answer};
use super::trouble::Trouble;
use super::watching;
use crate::backoff::paced;
use crate::translate::{Controllers, IngressKey, Served, addresses};
use roll::{Roll, Seen, Write};

/// Writes at the same time.
const AT_ONCE: usize = 16;
/// How long a write may take.
const ANSWER: Duration = Duration::from_secs(15);
/// Until what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many objects a page of a list has.
const PAGE: u32 = 500;

/// Who writes what is served into Ingresses' status.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct StatusWriter {
    /// The API server.
    pub client: Client,
    /// The namespaces whose Ingresses are read; empty: all.
    pub namespaces: Vec<String>,
    /// Whose classes are served.
    pub controllers: Controllers,
    /// Whether it is this process's to do.
    pub leadership: Leadership,
}

impl StatusWriter {
    /// Keeps the status as it is served while this process leads. Ends only by being dropped.
    pub async fn publish(self, mut served: watch::Receiver<Option<Arc<Served>>>) -> Infallible {
        let mut leadership = self.leadership.clone();
        loop {
            leadership.for_a_term(self.follow(&mut served)).await;
        }
    }

    async fn follow(&self, served: &mut watch::Receiver<Option<Arc<Served>>>) -> Infallible {
        let mut events = pin!(self.events());
        let mut roll = Roll::default();
        let mut trouble = Trouble::new("writing the status of Ingresses");
        let mut writes = FuturesUnordered::new();
        served.mark_changed();
        loop {
            while writes.len() < AT_ONCE
                && self.leadership.is_held()
                && let Some(write) = roll.next()
            {
                writes.push(self.write(write));
            }
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => take(event, &mut roll),
                    Err(error) => trouble.tell(&error),
                },
                Some((key, outcome)) = writes.next(), if !writes.is_empty() => {
                    match outcome {
                        Ok(seen) => {
                            trouble.over();
                            roll.wrote(key, Some(seen));
                        }
                        Err(error) => {
                            if let Some(error) = error {
                                trouble.tell(&error);
                            }
                            roll.wrote(key, None);
                        }
                    }
                }
                Ok(()) = served.changed() => {
                    let now = served.borrow_and_update().clone();
                    if let Some(now) = now
                        && let Some(wanted) = addresses(&now.snapshot, self.controllers)
                    {
                        roll.want(wanted, &now.snapshot);
                    }
                }
            }
        }
    }

    fn events(
        &self,
    ) -> SelectAll<impl futures::Stream<Item = Result<Event<Published>, watcher::Error>> + use<>> {
        let apis = if self.namespaces.is_empty() {
            vec![Api::all(self.client.clone())]
        } else {
            let of = |namespace: &String| Api::namespaced(self.client.clone(), namespace);
            self.namespaces.iter().map(of).collect()
        };
        let watch = |api: Api<Published>| {
            let config = watching::config().page_size(PAGE);
            paced(watcher::watcher(api, config))
        };
        apis.into_iter().map(watch).collect()
    }

    /// The Ingress as it is then. An error of none: somebody else wrote it, and the watch will tell.
    async fn write(&self, write: Write) -> (IngressKey, Result<Seen, Option<RequestError>>) {
        let Write {
            key,
            version,
            entries,
        } = write;
        let api: Api<Published> = Api::namespaced(self.client.clone(), &key.0);
        let patch = json!({
            "metadata": {"resourceVersion": version},
            "status": {"loadBalancer": {"ingress": entries}},
        });
        let (patch, parameters) = (Patch::Merge(patch), PatchParams::default());
        let request = api.patch_status(&key.1, &parameters, &patch);
        let outcome = match answer(ANSWER, request).await {
            Ok(published) => Ok(published.seen()),
            Err(error) => {
                sleep(AGAIN).await;
                Err(Some(error).filter(|error| !matches!(error, RequestError::Outdated)))
            }
        };
        (key, outcome)
    }
}

fn take(event: Event<Published>, roll: &mut Roll) {
    match event {
        Event::Init => roll.list_begins(),
        Event::InitApply(published) | Event::Apply(published) => {
            roll.see(published.key(), published.seen());
        }
        Event::InitDone => {}
        Event::Delete(published) => roll.forget(&published.key()),
    }
}

/// An Ingress, as far as its status goes.
#[derive(Clone, Debug, Deserialize)]
struct Published {
    metadata: ObjectMeta,
    #[serde(default)]
    status: Option<IngressStatus>,
}

impl Published {
    fn key(&self) -> IngressKey {
        let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
        (text(&self.metadata.namespace), text(&self.metadata.name))
    }

    fn seen(self) -> Seen {
        let balancer = self.status.and_then(|status| status.load_balancer);
        Seen {
            version: self.metadata.resource_version.unwrap_or_default(),
            entries: balancer.and_then(|balancer| balancer.ingress).unwrap_or_default(),
        }
    }
}

impl Resource for Published {
    type DynamicType = ();
    type Scope = <Ingress as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        Ingress::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Ingress::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Ingress::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Ingress::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

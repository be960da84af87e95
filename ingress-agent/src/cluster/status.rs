//! The addresses of Ingresses, in `status.loadBalancer.ingress`, written by whoever leads.
//!
//! They are written once this process has served them for a second, so that the other nodes do too, and taken away when
//! they are given to somebody else or to nobody; a node that lags behind changes nothing. Each write is over the version
//! that it was decided of. Which of the entries are ours the object's managed fields say, so that a leader knows what the
//! one before it wrote.

mod ends;
mod manager;
mod retries;
mod roll;
mod settling;

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, SelectAll, Stream, StreamExt as _};
use k8s_openapi::api::networking::v1::{Ingress, IngressStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::Leadership;
use super::request::{RequestError, answer};
use super::trouble::Trouble;
use super::watching;
use crate::backoff::paced;
use crate::translate::{Controllers, IngressKey, Served, addresses};
use roll::{Outcome, Roll, Seen, Write};

/// Writes at the same time.
const AT_ONCE: usize = 16;
/// How long a write may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a write's place stays taken where the API server did not answer it.
const BREATH: Duration = Duration::from_secs(1);
/// How many objects a page of a list has.
const PAGE: u32 = 500;

/// What a watch tells.
type Told = Result<Event<Published>, watcher::Error>;

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
        let mut leadership = self.leadership.clone();
        served.mark_changed();
        loop {
            let now = Instant::now();
            let is_held = leadership.is_held();
            while writes.len() < AT_ONCE
                && is_held
                && let Some(write) = roll.next(now)
            {
                writes.push(self.write(write));
            }
            let retry = roll.next_retry(now);
            tokio::select! {
                Some((namespace, event)) = events.next() => match event {
                    Ok(event) => take(event, namespace.as_deref(), &mut roll),
                    Err(error) => trouble.tell(&error),
                },
                Some((key, answer)) = writes.next(), if !writes.is_empty() => {
                    let (outcome, error) = match answer {
                        Ok(seen) => (Outcome::Written(seen), None),
                        Err(RequestError::Outdated) => (Outcome::Outdated, None),
                        Err(error) => (Outcome::Failed, Some(error)),
                    };
                    let is_first = roll.wrote(key.clone(), outcome, Instant::now());
                    match error {
                        None => trouble.over(),
                        Some(error) if !error.is_refusal() => trouble.tell(&error),
                        Some(error) if is_first => {
                            let (namespace, name) = key;
                            warn!(%namespace, %name, %error, "the Ingress's status cannot be written: it is tried again");
                        }
                        Some(_) => {}
                    }
                }
                () = sleep_until(retry.unwrap_or(now)), if retry.is_some() => {}
                () = leadership.holds(), if !is_held => {}
                Ok(()) = served.changed() => {
                    let now = served.borrow_and_update().clone();
                    if let Some(now) = now
                        && let Some(wanted) = addresses(&now.snapshot, self.controllers)
                    {
                        roll.want(wanted, &now.snapshot, Instant::now());
                    }
                }
            }
        }
    }

    /// What is told of the Ingresses of a namespace, or of all.
    fn events(&self) -> SelectAll<impl Stream<Item = (Option<Arc<str>>, Told)> + use<>> {
        let namespaces = self
            .namespaces
            .iter()
            .map(|namespace| Some(Arc::from(&**namespace)));
        let all = self.namespaces.is_empty().then_some(None);
        let watch = |namespace: Option<Arc<str>>| {
            let api: Api<Published> = match &namespace {
                Some(namespace) => Api::namespaced(self.client.clone(), namespace),
                None => Api::all(self.client.clone()),
            };
            let config = watching::config().page_size(PAGE);
            let events = paced(watcher::watcher(api, config));
            events.map(move |event| (namespace.clone(), event))
        };
        namespaces.chain(all).map(watch).collect()
    }

    /// The Ingress as it is then.
    async fn write(&self, write: Write) -> (IngressKey, Result<Seen, RequestError>) {
        let Write {
            key,
            version,
            entries,
            others,
        } = write;
        let api: Api<Published> = Api::namespaced(self.client.clone(), &key.0);
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": version},
            "status": {"loadBalancer": {"ingress": entries}},
        }));
        let parameters = PatchParams {
            field_manager: Some(manager::name(others)),
            ..PatchParams::default()
        };
        let request = api.patch_status(&key.1, &parameters, &patch);
        let answer = answer(ANSWER, request).await;
        let is_answered = match &answer {
            Ok(_) | Err(RequestError::Outdated) => true,
            Err(error) => error.is_refusal(),
        };
        if !is_answered {
            sleep(BREATH).await;
        }
        (key, answer.map(Published::seen))
    }
}

fn take(event: Event<Published>, namespace: Option<&str>, roll: &mut Roll) {
    match event {
        Event::Init => roll.list_begins(namespace),
        Event::InitApply(published) | Event::Apply(published) => {
            roll.see(published.key(), published.seen());
        }
        Event::InitDone => roll.list_ends(namespace, Instant::now()),
        Event::Delete(published) => roll.forget(&published.key(), Instant::now()),
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
        let managed = self.metadata.managed_fields.unwrap_or_default();
        Seen {
            others: manager::others(&managed),
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

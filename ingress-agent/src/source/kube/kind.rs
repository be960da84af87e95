//! A kind's watches: from the API server's events to a shelf.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Scope;
use super::answers::{Answers, Line};
use super::arrived::Arrived;
use super::shelf::{Key, Shelf};
use crate::backoff::paced;
use crate::translate::{Entry, Finding};

/// How long a watch lives, in seconds; its server ends it then. A connection that is silently dead is noticed five
/// seconds later (kube-runtime's `WATCH_IDLE_TIMEOUT_MARGIN`).
const WATCH_SECONDS: u32 = 25;
/// How long an API server must forbid a namespace's first list until it counts as empty: rights may be on their way.
const REFUSED: Duration = Duration::from_secs(5);
/// How many objects a page of a list has.
const PAGE: u32 = 2000;

/// One shelf per watch: of the cluster, or of each namespace.
#[derive(Debug)]
pub(super) struct Kind<T>(Vec<Arc<Mutex<Shelf<T>>>>);

impl<T: PartialEq> Kind<T> {
    /// Whether it was listed once, everywhere.
    pub(super) fn is_listed(&self) -> bool {
        self.0.iter().all(|shelf| lock(shelf).is_listed())
    }

    /// When objects that lists lack are let go of next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.0.iter().filter_map(|shelf| lock(shelf).next_expiry()).min()
    }

    /// Lets go of what lists have lacked for long enough.
    pub(super) fn expire(&self, now: Instant) {
        for shelf in &self.0 {
            lock(shelf).expire(now);
        }
    }

    /// The values that are there at `now`, and what could not be read.
    pub(super) fn enter(&self, now: Instant, entries: &mut Vec<Entry<T>>, findings: &mut Vec<Finding>) {
        for shelf in &self.0 {
            let mut shelf = lock(shelf);
            shelf.expire(now);
            shelf.enter(entries, findings);
        }
    }

    /// The value of an object that is there.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.0.iter().find_map(|shelf| lock(shelf).get(key).cloned())
    }
}

pub(super) fn lock<T>(shelf: &Mutex<Shelf<T>>) -> MutexGuard<'_, Shelf<T>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where watches begin.
pub(super) struct Watches<'a> {
    pub(super) client: &'a Client,
    pub(super) answers: &'a Answers,
    pub(super) scope: &'a Scope,
    pub(super) changed: &'a Arc<Notify>,
    pub(super) tasks: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    /// Watches a kind whose objects belong to no namespace.
    pub(super) fn cluster<K, T>(&mut self, kind: &'static str, digest: Digest<K, T>) -> Kind<T>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Watched,
        T: PartialEq + Send + Sync + 'static,
    {
        Kind(vec![self.start(kind, Api::all, digest, Definition::BuiltIn)])
    }

    /// The same of a kind that the cluster has to be told of by our definition.
    pub(super) fn defined<K, T>(&mut self, kind: &'static str, digest: Digest<K, T>) -> Kind<T>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Watched,
        T: PartialEq + Send + Sync + 'static,
    {
        Kind(vec![self.start(kind, Api::all, digest, Definition::Ours)])
    }

    /// Watches a kind in the namespaces of the scope.
    pub(super) fn namespaced<K, T>(&mut self, kind: &'static str, digest: Digest<K, T>) -> Kind<T>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Watched,
        T: PartialEq + Send + Sync + 'static,
    {
        let namespaces = &self.scope.namespaces;
        if namespaces.is_empty() {
            return Kind(vec![self.start(kind, Api::all, digest, Definition::BuiltIn)]);
        }
        let of = |namespace: &String| {
            let api = |client| Api::namespaced(client, namespace);
            self.start(kind, api, digest, Definition::OfNamespace)
        };
        Kind(namespaces.iter().map(of).collect())
    }

    fn start<K, T>(
        &mut self,
        kind: &'static str,
        api: impl FnOnce(Client) -> Api<Arrived<K>>,
        digest: Digest<K, T>,
        definition: Definition,
    ) -> Arc<Mutex<Shelf<T>>>
    where
        K: Resource<DynamicType = ()> + Watched,
        T: PartialEq + Send + Sync + 'static,
    {
        let shelf = Arc::new(Mutex::new(Shelf::new(kind)));
        let (filled, changed) = (Arc::clone(&shelf), Arc::clone(self.changed));
        let line = self.answers.line(kind);
        let api = api(line.client(self.client));
        self.tasks
            .spawn(fill(kind, line, api, digest, definition, filled, changed));
        shelf
    }
}

/// Who defines a kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Definition {
    /// Every API server.
    BuiltIn,
    /// The same, of one of several namespaces: one that it may not read keeps no other waiting.
    OfNamespace,
    /// We do, and whoever installs us tells the API server: where it knows no such kind there are no such objects.
    Ours,
}

/// An object's value, from it and the value it had before.
pub(super) type Digest<K, T> = fn(K, Option<&Arc<T>>) -> Arc<T>;

/// What a kind's API type must be.
pub(super) trait Watched: Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

impl<K: Clone + Debug + DeserializeOwned + Send + Sync + 'static> Watched for K {}

/// Fills a shelf for ever.
async fn fill<K, T>(
    kind: &'static str,
    line: Arc<Line>,
    api: Api<Arrived<K>>,
    digest: Digest<K, T>,
    definition: Definition,
    shelf: Arc<Mutex<Shelf<T>>>,
    changed: Arc<Notify>,
) where
    K: Resource<DynamicType = ()> + Watched,
    T: PartialEq + Send + Sync + 'static,
{
    let config = watcher::Config::default();
    follow(kind, &line, api, definition, config, |event| {
        if event.is_ok_and(|event| take(event, digest, &mut lock(&shelf))) {
            changed.notify_one();
        }
    })
    .await;
}

/// Follows the objects of an API for ever, `line` being that of its client. What the API server does not answer is
/// told once, and to `take` each time.
pub(super) async fn follow<K>(
    kind: &'static str,
    line: &Line,
    api: Api<Arrived<K>>,
    definition: Definition,
    config: watcher::Config,
    mut take: impl FnMut(Result<Event<Arrived<K>>, &watcher::Error>),
) where
    K: Resource<DynamicType = ()> + Watched,
{
    let config = config.timeout(WATCH_SECONDS).page_size(PAGE);
    let mut events = paced(watcher::watcher(api, config));
    let mut said = None;
    let mut listed = false;
    let mut forbidden: Option<Instant> = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) if !listed && definition == Definition::OfNamespace && is_forbidden(&error) => {
                let since = *forbidden.get_or_insert_with(Instant::now);
                let error = error.to_string();
                if said.as_ref() != Some(&error) {
                    warn!(kind, %error, "{FORBIDDEN}");
                    said = Some(error);
                }
                if since.elapsed() >= REFUSED {
                    listed = true;
                    take(Ok(Event::Init));
                    take(Ok(Event::InitDone));
                }
                continue;
            }
            Err(error) if definition == Definition::Ours && is_unknown(&error) => {
                if said.as_deref() != Some(UNDEFINED) {
                    warn!(kind, "{UNDEFINED}");
                    said = Some(UNDEFINED.to_owned());
                }
                line.answered();
                take(Ok(Event::Init));
                take(Ok(Event::InitDone));
                continue;
            }
            Err(error) => {
                take(Err(&error));
                // The same trouble is told once; the watcher tries on.
                let words = error.to_string();
                if said.as_ref() != Some(&words) {
                    let so = "what is known stays in force";
                    match refusal(&error) {
                        Some(code) => warn!(kind, code, error = words, "the API server refuses this: {so}"),
                        None => warn!(kind, error = words, "the API server does not answer: {so}"),
                    }
                    said = Some(words);
                }
                continue;
            }
        };
        // A list that begins has no answer yet.
        if !matches!(event, Event::Init) && said.take().is_some() {
            info!(kind, "the API server answers again");
        }
        listed |= matches!(event, Event::InitDone);
        take(Ok(event));
    }
}

/// What is said where a namespace's objects may not be read.
const FORBIDDEN: &str = "this agent may not read this kind in a namespace of --watch-namespace, of which nothing is \
                         served: bind its ServiceAccount to a Role there, or leave the namespace out";

/// Whether the API server forbids the list.
fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// What is said where the API server does not know our kind.
const UNDEFINED: &str = "the API server does not know this kind, so there are none: to serve VIPs, run `ingress-agent \
                         crd | kubectl apply -f -`, then make a VipPool";

/// Whether the API server knows no such kind.
fn is_unknown(error: &watcher::Error) -> bool {
    refusal(error) == Some(404)
}

/// The status with which the API server answered: to a request, or in the course of a watch.
fn refusal(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.code),
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => None,
    }
}

/// Says whether the event changes anything.
pub(super) fn take<K, T: PartialEq>(
    event: Event<Arrived<K>>,
    digest: Digest<K, T>,
    shelf: &mut Shelf<T>,
) -> bool
where
    K: DeserializeOwned,
{
    match event {
        Event::Init => {
            shelf.list_begins();
            false
        }
        Event::Apply(arrived) | Event::Delete(arrived) if shelf.is_outdated(&arrived.metadata) => false,
        Event::InitApply(arrived) | Event::Apply(arrived) => {
            shelf.put(&arrived.metadata, |last| Ok(digest(arrived.object()?, last)))
        }
        Event::InitDone => shelf.list_ends(Instant::now()),
        Event::Delete(arrived) => shelf.delete(&arrived.metadata),
    }
}

#[cfg(test)]
mod tests;

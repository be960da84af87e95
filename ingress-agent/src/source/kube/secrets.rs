//! Secrets: only those that an Ingress names are ever read.
//!
//! A watch of *metadata* tells which there are and in which version; the body of one that is named is asked for
//! by `get`. So the agent's memory holds no Secret that it does not serve.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Scope;
use super::arrived::Arrived;
use super::kind::{Kind, Watches};
use super::shelf::{Key, Shelf};
use crate::digest::{Cause, Fault, secret};
use crate::translate::Snapshot;

/// How many are asked for at the same time.
const AT_ONCE: usize = 32;
/// How long after a failure one is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// The Secrets that Ingresses name.
pub(super) struct Secrets {
    versions: Kind<String>,
    bodies: Shelf<secret::Secret>,
    asked: HashMap<Key, Asked>,
    asker: Asker,
    answers: mpsc::UnboundedReceiver<Answer>,
    /// Ended when this is dropped.
    tasks: JoinSet<()>,
}

/// How asking for a Secret stands.
#[derive(Debug)]
struct Asked {
    /// The `resourceVersion` that was asked for.
    version: Arc<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Answered,
    Failed(Instant),
}

#[derive(Debug)]
struct Answer {
    key: Key,
    result: Result<Option<Arrived<ApiSecret>>, kube::Error>,
}

/// Who asks.
#[derive(Clone)]
struct Asker {
    client: Client,
    places: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<Answer>,
    changed: Arc<Notify>,
}

impl Secrets {
    /// Begins to watch; `changed` is told of other versions and of answers.
    pub(super) fn watch(client: &Client, scope: &Scope, changed: &Arc<Notify>) -> Self {
        let mut tasks = JoinSet::new();
        let mut watches = Watches {
            client,
            scope,
            changed,
            tasks: &mut tasks,
        };
        let versions = watches.namespaced("Secret", version);
        let (sender, answers) = mpsc::unbounded_channel();
        Self {
            versions,
            bodies: Shelf::new("Secret"),
            asked: HashMap::new(),
            asker: Asker {
                client: client.clone(),
                places: Arc::new(Semaphore::new(AT_ONCE)),
                answers: sender,
                changed: Arc::clone(changed),
            },
            answers,
            tasks,
        }
    }

    /// Whether it is known which there are.
    pub(super) fn are_listed(&self) -> bool {
        self.versions.is_listed()
    }

    /// Takes in what was answered and asks for what is named, is there, and is not known in its version. Says
    /// whether one is awaited of which nothing is known yet.
    pub(super) fn ask_for(&mut self, named: &BTreeSet<Key>) -> bool {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        while self.tasks.try_join_next().is_some() {}
        let gone: Vec<_> = self
            .asked
            .extract_if(|key, _| !named.contains(key) || self.versions.get(key).is_none())
            .map(|(key, _)| key)
            .collect();
        for key in &gone {
            self.bodies.remove(key);
        }
        let now = Instant::now();
        let mut awaited = false;
        for key in named {
            let Some(version) = self.versions.get(key) else {
                continue;
            };
            let is_due = self.asked.get(key).is_none_or(|asked| match asked.state {
                State::Failed(at) => now >= at + AGAIN,
                State::Waiting | State::Answered => asked.version != version,
            });
            let has_failed = self
                .asked
                .get(key)
                .is_some_and(|asked| matches!(asked.state, State::Failed(_)));
            if is_due {
                let state = State::Waiting;
                self.asked.insert(key.clone(), Asked { version, state });
                self.tasks.spawn(self.asker.clone().ask(key.clone()));
            }
            let is_waiting = self
                .asked
                .get(key)
                .is_some_and(|asked| asked.state == State::Waiting);
            awaited |= is_waiting && !has_failed && self.bodies.get(key).is_none();
        }
        awaited
    }

    fn take(&mut self, Answer { key, result }: Answer) {
        // Nobody names it any more.
        let Some(asked) = self.asked.get_mut(&key) else {
            return;
        };
        asked.state = State::Answered;
        match result {
            Ok(Some(Arrived { metadata, object })) => {
                self.bodies
                    .put(&metadata, |last| Ok(secret::digest(object?, last)));
            }
            // Deleted meanwhile: the watch will tell.
            Ok(None) => {
                self.bodies.remove(&key);
            }
            Err(error) => {
                asked.state = State::Failed(Instant::now());
                self.bodies.fail(&key, unreadable(&error));
            }
        }
    }

    /// Puts the Secrets into a snapshot.
    pub(super) fn enter(&self, snapshot: &mut Snapshot) {
        self.bodies.enter(&mut snapshot.secrets, &mut snapshot.findings);
    }
}

impl Asker {
    async fn ask(self, key: Key) {
        let (namespace, name) = &key;
        let api: Api<Arrived<ApiSecret>> = Api::namespaced(self.client, namespace);
        let result = {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            api.get_opt(name).await
        };
        let failed = result.is_err();
        // Nobody listens any more when the source has ended.
        self.answers.send(Answer { key, result }).ok();
        self.changed.notify_one();
        if failed {
            sleep(AGAIN).await;
            self.changed.notify_one();
        }
    }
}

fn version(secret: PartialObjectMeta<ApiSecret>, last: Option<&Arc<String>>) -> Arc<String> {
    let version = secret.metadata.resource_version.unwrap_or_default();
    match last {
        Some(last) if **last == version => Arc::clone(last),
        Some(_) | None => Arc::new(version),
    }
}

fn unreadable(error: &kube::Error) -> Fault {
    Fault::refused(Cause::SecretUnreadable, "")
        .found(format!("an API server that does not give it ({error})"))
        .expected("the right to `get` Secrets in its namespace")
        .so("its hosts are shown the default certificate")
        .change("bind the agent's ServiceAccount to a Role with `get` on `secrets` there")
}

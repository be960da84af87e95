//! Secrets: only those that an Ingress names are ever read.
//!
//! A watch of *metadata* tells which there are and in which version; the body of one that is named is asked for
//! by `get`. So the agent's memory holds no Secret that it does not serve.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::api::GetParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Scope;
use super::answers::Answers;
use super::arrived::Arrived;
use super::kind::{Kind, Watches};
use super::shelf::{Key, Shelf};
use crate::digest::{Cause, Fault, secret};
use crate::translate::Snapshot;

/// How many are asked for at the same time.
const AT_ONCE: usize = 32;
/// How long after a failure one is asked for again. Each further refusal doubles it: a right that is missing is missing
/// for all Secrets of a namespace, and for some time.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest such pause.
const REFUSED: Duration = Duration::from_secs(60);

/// The Secrets that Ingresses name.
pub(super) struct Secrets {
    versions: Kind<String>,
    bodies: Shelf<secret::Secret>,
    asked: HashMap<Key, Asked>,
    /// Those of the named that were asked for and of which nothing is known yet.
    awaited: HashSet<Key>,
    /// How many questions there were.
    questions: u64,
    asker: Asker,
    answers: mpsc::UnboundedReceiver<Answer>,
    /// Ended when this is dropped.
    tasks: JoinSet<()>,
}

/// How asking for a Secret stands.
#[derive(Debug)]
struct Asked {
    /// The `resourceVersion` that the watch had told; `None`: it knew of no such Secret.
    version: Option<Arc<String>>,
    /// Which answer counts: one to an earlier question may come after it.
    number: u64,
    state: State,
    /// How long it last was not asked for because that had failed; zero: it had not.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting,
    Answered,
    /// Until then.
    Failed(Instant),
}

/// The pause after a failure, `last` being the one before.
fn pause(last: Duration, error: &kube::Error) -> Duration {
    if matches!(error, kube::Error::Api(_)) {
        (2 * last).clamp(AGAIN, REFUSED)
    } else {
        // Nobody answers: that costs nobody anything.
        AGAIN
    }
}

#[derive(Debug)]
struct Answer {
    key: Key,
    number: u64,
    result: Result<Option<Arrived<ApiSecret>>, kube::Error>,
}

/// Who asks.
#[derive(Clone)]
struct Asker {
    client: Client,
    places: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Secrets {
    /// Begins to watch; `changed` is told of other versions.
    pub(super) fn watch(client: &Client, answers: &Answers, scope: &Scope, changed: &Arc<Notify>) -> Self {
        let mut tasks = JoinSet::new();
        let mut watches = Watches {
            client,
            answers,
            scope,
            changed,
            tasks: &mut tasks,
        };
        let versions = watches.namespaced("Secret", version);
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            versions,
            bodies: Shelf::new("Secret"),
            asked: HashMap::new(),
            awaited: HashSet::new(),
            questions: 0,
            asker: Asker {
                client: client.clone(),
                places: Arc::new(Semaphore::new(AT_ONCE)),
                answers: sender,
            },
            answers: receiver,
            tasks,
        }
    }

    /// Whether it is known which there are.
    pub(super) fn are_listed(&self) -> bool {
        self.versions.is_listed()
    }

    /// When one is another next though nothing is heard: one that a list lacked is let go of, or one that could not be
    /// had is asked for again.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let failed = self.asked.values().filter_map(|asked| match asked.state {
            State::Failed(due) => Some(due),
            State::Waiting | State::Answered => None,
        });
        failed.chain(self.versions.next_expiry()).min()
    }

    /// Waits for answers and takes in all that have come. Loses none when it is dropped.
    pub(super) async fn answered(&mut self) {
        match self.answers.recv().await {
            Some(answer) => self.take(answer),
            // The asker holds a sender, so that there is no end.
            None => pending().await,
        }
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Whether an answer is to come for a named one of which nothing is known yet.
    pub(super) fn are_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Asks for what is named and not known in its version.
    pub(super) fn ask_for(&mut self, named: &BTreeSet<Key>) {
        let unnamed: Vec<_> = self
            .asked
            .extract_if(|key, _| !named.contains(key))
            .map(|(key, _)| key)
            .collect();
        for key in &unnamed {
            self.bodies.remove(key);
        }
        self.awaited.clear();
        let now = Instant::now();
        self.versions.expire(now);
        for key in named {
            if self.ask_for_one(key, now) {
                self.awaited.insert(key.clone());
            }
        }
    }

    /// Says whether an answer is awaited of which nothing is known yet.
    fn ask_for_one(&mut self, key: &Key, now: Instant) -> bool {
        let version = self.versions.get(key);
        let last = self.asked.get(key);
        if let Some(asked) = &last
            && version.is_none()
            && asked.version.is_some()
        {
            // It was deleted.
            self.bodies.remove(key);
            self.note(key, version, State::Answered);
            return false;
        }
        let (is_due, has_failed) = match &last {
            // Also one that the watch has not told of: watches know no order among them, so that an Ingress may
            // come before the Secret that it names.
            None => (true, false),
            Some(asked) => match asked.state {
                State::Failed(due) => (now >= due, true),
                State::Waiting | State::Answered => (asked.version != version, false),
            },
        };
        if is_due {
            let number = self.note(key, version.clone(), State::Waiting);
            self.tasks
                .spawn(self.asker.clone().ask(key.clone(), version, number));
        }
        let is_waiting = self
            .asked
            .get(key)
            .is_some_and(|asked| asked.state == State::Waiting);
        is_waiting && !has_failed && self.bodies.get(key).is_none()
    }

    /// How asking stands from now on; answers to what was asked before count no more.
    fn note(&mut self, key: &Key, version: Option<Arc<String>>, state: State) -> u64 {
        self.questions += 1;
        let number = self.questions;
        let pause = self.asked.get(key).map_or(Duration::ZERO, |last| last.pause);
        let asked = Asked {
            version,
            number,
            state,
            pause,
        };
        self.asked.insert(key.clone(), asked);
        number
    }

    fn take(&mut self, Answer { key, number, result }: Answer) {
        // Nobody names it any more, or something later is known or asked for.
        let Some(asked) = self.asked.get_mut(&key).filter(|asked| asked.number == number) else {
            return;
        };
        asked.state = State::Answered;
        let last = std::mem::take(&mut asked.pause);
        self.awaited.remove(&key);
        match result {
            Ok(Some(arrived)) => {
                self.bodies.put(&arrived.metadata, |last| {
                    Ok(secret::digest(arrived.object()?, last))
                });
            }
            // Deleted meanwhile: the watch will tell.
            Ok(None) => {
                self.bodies.remove(&key);
            }
            Err(error) => {
                asked.pause = pause(last, &error);
                asked.state = State::Failed(Instant::now() + asked.pause);
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
    async fn ask(self, key: Key, version: Option<Arc<String>>, number: u64) {
        let (namespace, name) = &key;
        let api: Api<Arrived<ApiSecret>> = Api::namespaced(self.client, namespace);
        let result = {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            get(&api, name, version.as_deref()).await
        };
        // Nobody listens any more when the source has ended.
        self.answers.send(Answer { key, number, result }).ok();
    }
}

/// The Secret in this version or a later one, which the API server has in memory: it need not ask its store. `None`:
/// there is none.
async fn get(
    api: &Api<Arrived<ApiSecret>>,
    name: &str,
    version: Option<&String>,
) -> Result<Option<Arrived<ApiSecret>>, kube::Error> {
    let Some(version) = version else {
        return api.get_opt(name).await;
    };
    match api.get_with(name, &GetParams::at(version)).await {
        Ok(secret) => Ok(Some(secret)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        // Another API server than the one that told of this version, and it does not know of it yet.
        Err(kube::Error::Api(status)) if status.code == 504 => api.get_opt(name).await,
        Err(error) => Err(error),
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
    // What the API server itself says is for people; the rest of its answer is not.
    let said = if let kube::Error::Api(status) = error {
        status.message.clone()
    } else {
        error.to_string()
    };
    Fault::refused(Cause::SecretUnreadable, "")
        .found(format!("an API server that does not give it ({said})"))
        .expected("the right to `get` Secrets in its namespace")
        .so("its hosts are shown the default certificate")
        .change("bind the agent's ServiceAccount to a Role with `get` on `secrets` there")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn one_that_is_refused_is_asked_for_ever_more_seldom_and_one_that_nobody_answers_is_not() {
        let refused = kube::Error::Api(Box::new(Status::failure("no", "Forbidden")));
        let mut last = Duration::ZERO;
        let pauses = std::iter::repeat_with(|| {
            last = pause(last, &refused);
            last.as_secs()
        });
        assert_eq!(pauses.take(6).collect::<Vec<_>>(), [5, 10, 20, 40, 60, 60]);
        let unanswered = kube::Error::ReadEvents(std::io::ErrorKind::TimedOut.into());
        assert_eq!(pause(last, &unanswered), AGAIN);
    }
}

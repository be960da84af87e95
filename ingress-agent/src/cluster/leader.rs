//! Who leads: the election on Lease `ingress-agent-leader` of our namespace.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Error};
use rustix::io::Errno;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{error::Elapsed, sleep, timeout};
use tracing::info;

use super::lease::{Candidate, RENEW, RENEW_DEADLINE, Step, TERM};
use super::numbers::{self, Numbers, RECORD};
use super::trouble::Trouble;
use super::{Wanted, clock, identity, watching};
use crate::digest::lease::{Beat, LABEL};
use crate::model::MemberState;

/// The name of the Lease.
pub const LEADER: &str = "ingress-agent-leader";
/// How long a request may take: a later answer would be of no use to a leader.
const ANSWER: Duration = Duration::from_secs(2);
/// Until a request that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether this process leads. Whoever writes for all agents asks before each write.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: Arc<Term>,
    leads: watch::Receiver<State>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Candidate,
    Leader,
    /// It drains, and stands no more.
    Over,
}

/// How long the term lasts, on [`clock`], in nanoseconds; 0: there is none.
#[derive(Debug, Default)]
struct Term(AtomicU64);

impl Term {
    fn lasts_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanoseconds, Ordering::Release);
    }

    fn is_on(&self, now: Duration) -> bool {
        now < Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

impl Leadership {
    /// Whether this process leads at this moment, by a look at the clock: one that slept through its term does not,
    /// even if nothing else of it has woken yet.
    pub fn is_held(&self) -> bool {
        self.term.is_on(clock::now())
    }

    /// Waits until this process leads; for ever if it drains.
    pub async fn is_won(&mut self) {
        if self
            .leads
            .wait_for(|state| *state == State::Leader)
            .await
            .is_err()
        {
            // There is no election any more.
            std::future::pending().await
        }
    }

    /// Waits until it does not.
    pub async fn is_lost(&mut self) {
        // An error: there is no election any more, nor a leader.
        _ = self.leads.wait_for(|state| *state != State::Leader).await;
    }

    /// Waits until it stands no more.
    pub(super) async fn is_over(&mut self) {
        _ = self.leads.wait_for(|state| *state == State::Over).await;
    }
}

/// Stands for election as `identity`, until it is wished that the node drains. `own`: the name of the node's Lease.
pub(super) fn start(
    client: &Client,
    namespace: &str,
    identity: &Arc<str>,
    own: &str,
    wishes: watch::Receiver<Wanted>,
    tasks: &mut JoinSet<()>,
) -> Leadership {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let (state, leads) = watch::channel(State::Candidate);
    let leadership = Leadership {
        term: Arc::default(),
        leads,
    };
    let numbers = Arc::new(Mutex::new(Numbers::default()));
    tasks.spawn(numbers::lead(
        api.clone(),
        own.to_owned(),
        Arc::clone(&numbers),
        leadership.clone(),
    ));
    let election = Election {
        api,
        identity: Arc::clone(identity),
        term: Arc::clone(&leadership.term),
        state,
        numbers,
        trouble: Trouble::new("renewing or reading Lease `ingress-agent-leader`"),
    };
    tasks.spawn(election.stand(wishes));
    leadership
}

struct Election {
    api: Api<Lease>,
    identity: Arc<str>,
    term: Arc<Term>,
    state: watch::Sender<State>,
    numbers: Arc<Mutex<Numbers>>,
    trouble: Trouble,
}

/// Why the Lease was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    /// It was written by somebody since it was read.
    #[error("it was written by somebody else")]
    Conflict,
    #[error("no answer within {ANSWER:?}")]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Api(Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(status)
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                Self::Conflict
            }
            error => Self::Api(error),
        }
    }
}

impl Election {
    async fn stand(mut self, mut wishes: watch::Receiver<Wanted>) {
        while let Some(lease) = self.win(&mut wishes).await {
            info!("leads: writes what is written once for all agents");
            self.state.send_replace(State::Leader);
            let last = self.lead(lease, &mut wishes).await;
            self.state.send_replace(State::Candidate);
            self.term.lasts_until(Duration::ZERO);
            info!("leads no more");
            if let Some(last) = last {
                self.release(&last).await;
                break;
            }
        }
        self.state.send_replace(State::Over);
    }

    /// Waits for the Lease to be free and takes it; `None`: the node drains.
    async fn win(&mut self, wishes: &mut watch::Receiver<Wanted>) -> Option<Lease> {
        let mut objects = pin!(watching::one(self.api.clone(), LEADER));
        let mut candidate = Candidate::new(&self.identity, jitter());
        // As the last look or the watch showed it.
        let mut lease: Option<Lease> = None;
        loop {
            let until = match candidate.step(clock::now()) {
                Step::Wait(until) => until,
                step => {
                    let asked_at = clock::now();
                    let answer = match step {
                        Step::Take => self.take(lease.as_ref()).await.map(Some),
                        Step::Look | Step::Wait(_) => self.look().await,
                    };
                    match answer {
                        Ok(now) if step == Step::Take => {
                            self.trouble.over();
                            self.term.lasts_until(asked_at + RENEW_DEADLINE);
                            return now;
                        }
                        Ok(now) => {
                            self.trouble.over();
                            candidate.see(beat(now.as_ref()), clock::now());
                            lease = now;
                            continue;
                        }
                        // Somebody was faster: what is now is looked at.
                        Err(WriteError::Conflict) => {
                            if let Ok(now) = self.look().await {
                                candidate.see(beat(now.as_ref()), clock::now());
                                lease = now;
                                continue;
                            }
                        }
                        Err(error) => self.trouble.tell(&error),
                    }
                    candidate.unanswered();
                    clock::now() + AGAIN
                }
            };
            tokio::select! {
                () = sleep(until.saturating_sub(clock::now())) => {}
                object = objects.next() => match object {
                    Some(Ok(now)) => {
                        candidate.see(beat(now.as_ref()), clock::now());
                        lease = now;
                    }
                    Some(Err(error)) => self.trouble.tell(&error),
                    None => return None,
                },
                () = drains(wishes) => return None,
            }
        }
    }

    /// Renews the Lease until that fails for too long, or somebody else has it; the Lease: until the node drains.
    async fn lead(&mut self, mut lease: Lease, wishes: &mut watch::Receiver<Wanted>) -> Option<Lease> {
        let mut pause = RENEW;
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = drains(wishes) => return Some(lease),
            }
            let asked_at = clock::now();
            if !self.term.is_on(asked_at) {
                return None;
            }
            pause = match self.write(&lease, self.spec(&lease, false)).await {
                Ok(renewed) => {
                    self.trouble.over();
                    self.term.lasts_until(asked_at + RENEW_DEADLINE);
                    lease = renewed;
                    RENEW.mul_f64(0.95) + jitter() / 10
                }
                // It may be an annotation, or an own write whose answer was lost.
                Err(WriteError::Conflict) => match self.look().await {
                    Ok(Some(now)) if beat(Some(&now)).holder() == Some(&*self.identity) => {
                        lease = now;
                        Duration::ZERO
                    }
                    Ok(_) => return None,
                    Err(_) => AGAIN,
                },
                Err(error) => {
                    self.trouble.tell(&error);
                    AGAIN
                }
            };
        }
    }

    async fn look(&self) -> Result<Option<Lease>, WriteError> {
        Ok(timeout(ANSWER, self.api.get_opt(LEADER)).await??)
    }

    /// Takes the Lease as it was seen, or makes it.
    async fn take(&self, lease: Option<&Lease>) -> Result<Lease, WriteError> {
        self.numbers().adopt(record(lease), clock::now());
        let Some(lease) = lease else {
            let (key, _) = LABEL;
            let made = json!({
                "metadata": {"name": LEADER, "labels": {key: "leader"}},
                "spec": self.spec(&Lease::default(), true),
            });
            let made =
                serde_json::from_value(made).map_err(|error| WriteError::Api(Error::SerdeError(error)))?;
            return Ok(timeout(ANSWER, self.api.create(&PostParams::default(), &made)).await??);
        };
        self.write(lease, self.spec(lease, true)).await
    }

    /// Lets others lead at once; what fails, they see by themselves.
    async fn release(&self, lease: &Lease) {
        let spec = json!({"holderIdentity": "", "renewTime": MicroTime(Timestamp::now())});
        _ = self.write(lease, spec).await;
    }

    fn spec(&self, lease: &Lease, is_new: bool) -> Value {
        let now = MicroTime(Timestamp::now());
        let mut spec = json!({
            "holderIdentity": *self.identity,
            "leaseDurationSeconds": TERM.as_secs(),
            "renewTime": now,
        });
        if is_new {
            let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions);
            spec["acquireTime"] = json!(now);
            spec["leaseTransitions"] = json!(transitions.unwrap_or_default().saturating_add(1));
        }
        spec
    }

    /// Writes it, if nobody has since it was read.
    async fn write(&self, lease: &Lease, spec: Value) -> Result<Lease, WriteError> {
        let record = self.numbers().record(clock::now());
        let patch = json!({
            "metadata": {
                "resourceVersion": lease.metadata.resource_version,
                "annotations": {RECORD: record},
            },
            "spec": spec,
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        Ok(timeout(ANSWER, self.api.patch(LEADER, &parameters, &patch)).await??)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn beat(lease: Option<&Lease>) -> Beat {
    lease.map(Beat::of).unwrap_or_default()
}

fn record(lease: Option<&Lease>) -> Option<&str> {
    lease?
        .metadata
        .annotations
        .as_ref()?
        .get(RECORD)
        .map(String::as_str)
}

/// Waits for the wish that the node drains.
async fn drains(wishes: &mut watch::Receiver<Wanted>) {
    // An error: nobody is there to wish anything, and all of this ends.
    _ = wishes
        .wait_for(|wanted| wanted.state == MemberState::Draining)
        .await;
}

/// Up to a second, so that candidates and leaders of several clusters do not write at once. Without random bytes
/// they do, which harms nothing.
fn jitter() -> Duration {
    let random = identity::random().unwrap_or_else(|_: Errno| [0; 2]);
    Duration::from_secs(1).mul_f64(f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OP-16: whoever wakes after a pause sees by the clock alone that its term is over.
    #[test]
    fn a_term_ends_by_the_clock() {
        let (_state, leads) = watch::channel(State::Leader);
        let leadership = Leadership {
            term: Arc::default(),
            leads,
        };
        assert!(!leadership.is_held());
        leadership
            .term
            .lasts_until(clock::now() + Duration::from_millis(20));
        assert!(leadership.is_held());
        std::thread::sleep(Duration::from_millis(21));
        assert!(!leadership.is_held());
    }
}

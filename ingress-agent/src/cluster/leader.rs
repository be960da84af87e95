//! Who leads: the election on Lease `ingress-agent-leader` of our namespace.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

use super::lease::{Candidate, RENEW, RENEW_DEADLINE, Step, TERM_SECONDS};
use super::numbers::{self, Numbers, RECORD};
use super::observer::Heard;
use super::request::{Patience, RequestError};
use super::trouble::Trouble;
use super::{Wanted, Who, clock, watching};
use crate::backoff::chance;
use crate::digest::lease::{Beat, LABEL};

/// The name of the Lease.
pub const LEADER: &str = "ingress-agent-leader";
/// How long a request may take at first: with a pause and another one that is within a leader's term.
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

#[cfg(test)]
impl Leadership {
    /// For ever, while what is given beside it lives.
    pub(super) fn held() -> (Self, impl Sized) {
        let (state, leads) = watch::channel(State::Leader);
        let term = Arc::<Term>::default();
        term.lasts_until(Duration::MAX);
        (Self { term, leads }, state)
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

    /// Waits until this process leads, and does this until it does no more.
    pub(super) async fn for_a_term(&mut self, work: impl Future<Output = Infallible>) {
        self.is_won().await;
        tokio::select! {
            () = self.is_lost() => {}
            never = work => match never {},
        }
    }

    /// Waits until it does not.
    async fn is_lost(&mut self) {
        // An error: there is no election any more, nor a leader.
        _ = self.leads.wait_for(|state| *state != State::Leader).await;
    }

    /// Waits until it stands no more.
    pub(super) async fn is_over(&mut self) {
        _ = self.leads.wait_for(|state| *state == State::Over).await;
    }
}

/// Stands for election, until it is wished that the node drains.
pub(super) fn start(who: &Who<'_>, wishes: watch::Receiver<Wanted>, tasks: &mut JoinSet<()>) -> Leadership {
    let api: Api<Lease> = Api::namespaced(who.client.clone(), who.namespace);
    let (state, leads) = watch::channel(State::Candidate);
    let leadership = Leadership {
        term: Arc::default(),
        leads,
    };
    let numbers = Arc::new(Mutex::new(Numbers::new(who.retention.number)));
    let lead = numbers::lead(
        api.clone(),
        who.lease.to_owned(),
        who.retention.lease,
        Arc::clone(&numbers),
        leadership.clone(),
    );
    tasks.spawn(async { match lead.await {} });
    let election = Election {
        api,
        identity: Arc::clone(who.identity),
        heard: Arc::clone(who.heard),
        term: Arc::clone(&leadership.term),
        state,
        numbers,
        patience: Patience::new(ANSWER),
        trouble: Trouble::new("renewing or reading Lease `ingress-agent-leader`"),
        watching: Trouble::new("watching Lease `ingress-agent-leader`"),
    };
    tasks.spawn(election.stand(wishes));
    leadership
}

struct Election {
    api: Api<Lease>,
    identity: Arc<str>,
    heard: Arc<Heard>,
    term: Arc<Term>,
    state: watch::Sender<State>,
    numbers: Arc<Mutex<Numbers>>,
    patience: Patience,
    trouble: Trouble,
    watching: Trouble,
}

impl Election {
    async fn stand(mut self, mut wishes: watch::Receiver<Wanted>) {
        while let Some((lease, asked_at)) = self.win(&mut wishes).await {
            info!("leads: writes what is written once for all agents");
            self.state.send_replace(State::Leader);
            let last = self.lead(lease, asked_at, &mut wishes).await;
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

    /// Waits for the Lease to be free and takes it, asking for it at that moment; `None`: the node drains.
    async fn win(&mut self, wishes: &mut watch::Receiver<Wanted>) -> Option<(Lease, Duration)> {
        let mut objects = pin!(watching::one(self.api.clone(), LEADER));
        let mut candidate = Candidate::new(&self.identity, jitter());
        // As the last look or the watch showed it.
        let mut lease: Option<Lease> = None;
        loop {
            let asked_at = clock::now();
            let answer = match candidate.step(asked_at) {
                Step::Wait(until) => Ok(until),
                Step::Take => match self.take(lease.as_ref()).await {
                    Ok(taken) => {
                        self.answered();
                        self.term.lasts_until(asked_at + RENEW_DEADLINE);
                        return Some((taken, asked_at));
                    }
                    Err(RequestError::Outdated) => {
                        candidate.outdated();
                        Ok(asked_at)
                    }
                    Err(error) => Err(error),
                },
                Step::Look => self.look().await.map(|now| {
                    self.answered();
                    candidate.see(beat(now.as_ref()), clock::now());
                    lease = now;
                    asked_at
                }),
            };
            let until = answer.unwrap_or_else(|error| {
                self.trouble.tell(&error);
                candidate.unanswered();
                clock::now() + AGAIN
            });
            tokio::select! {
                () = sleep(until.saturating_sub(clock::now())) => {}
                object = objects.next() => match object {
                    Some(Ok(now)) => {
                        self.watching.over();
                        self.heard.now();
                        candidate.see(beat(now.as_ref()), clock::now());
                        lease = now;
                    }
                    Some(Err(error)) => self.watching.tell(&error),
                    None => return None,
                },
                () = drains(wishes) => return None,
            }
        }
    }

    /// Renews the Lease until that fails for too long, or somebody else has it; the Lease: until the node drains.
    async fn lead(
        &mut self,
        mut lease: Lease,
        asked_at: Duration,
        wishes: &mut watch::Receiver<Wanted>,
    ) -> Option<Lease> {
        let mut due = asked_at + RENEW;
        loop {
            tokio::select! {
                () = sleep(due.saturating_sub(clock::now())) => {}
                () = drains(wishes) => return Some(lease),
            }
            let asked_at = clock::now();
            if !self.term.is_on(asked_at) {
                return None;
            }
            let spec = self.spec();
            due = match self.write(&lease, &spec).await {
                Ok(renewed) => {
                    self.answered();
                    self.term.lasts_until(asked_at + RENEW_DEADLINE);
                    lease = renewed;
                    // Not since it was answered: that may have taken long.
                    asked_at + RENEW.mul_f64(0.95) + jitter() / 10
                }
                // It may be an annotation, or an own write whose answer was lost.
                Err(RequestError::Outdated) => match self.look().await {
                    Ok(Some(now)) if beat(Some(&now)).holder() == Some(&*self.identity) => {
                        lease = now;
                        asked_at
                    }
                    Ok(_) => return None,
                    Err(error) => {
                        self.trouble.tell(&error);
                        clock::now() + AGAIN
                    }
                },
                Err(error) => {
                    self.trouble.tell(&error);
                    clock::now() + AGAIN
                }
            };
        }
    }

    fn answered(&mut self) {
        self.trouble.over();
        self.heard.now();
    }

    async fn look(&mut self) -> Result<Option<Lease>, RequestError> {
        self.patience.answer(self.api.get_opt(LEADER)).await
    }

    /// Takes the Lease as it was seen, or makes it.
    async fn take(&mut self, lease: Option<&Lease>) -> Result<Lease, RequestError> {
        self.numbers().adopt(record(lease), clock::now());
        let mut spec = self.spec();
        spec.acquire_time.clone_from(&spec.renew_time);
        let transitions = lease.and_then(|lease| lease.spec.as_ref()?.lease_transitions);
        spec.lease_transitions = Some(transitions.unwrap_or_default().saturating_add(1));
        if let Some(lease) = lease {
            return self.write(lease, &spec).await;
        }
        let (key, _) = LABEL;
        let new = Lease {
            metadata: ObjectMeta {
                name: Some(LEADER.to_owned()),
                labels: Some([(key.to_owned(), "leader".to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let parameters = PostParams::default();
        self.patience.answer(self.api.create(&parameters, &new)).await
    }

    /// Lets others lead at once; what fails, they see by themselves.
    async fn release(&mut self, lease: &Lease) {
        let mut spec = self.spec();
        spec.holder_identity = Some(String::new());
        _ = self.write(lease, &spec).await;
    }

    fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: Some(TERM_SECONDS.into()),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }
    }

    /// Writes it, if nobody has since it was read.
    async fn write(&mut self, lease: &Lease, spec: &LeaseSpec) -> Result<Lease, RequestError> {
        let record = self.numbers().record(clock::now());
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": lease.metadata.resource_version,
                "annotations": {RECORD: record},
            },
            "spec": spec,
        }));
        let parameters = PatchParams::default();
        let patched = self.api.patch(LEADER, &parameters, &patch);
        self.patience.answer(patched).await
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

/// Waits for the process to be about to end.
async fn drains(wishes: &mut watch::Receiver<Wanted>) {
    // An error: nobody is there to wish anything, and all of this ends.
    _ = wishes.wait_for(|wanted| wanted.leaves).await;
}

/// Up to a second, so that candidates and leaders of several clusters do not write at once.
fn jitter() -> Duration {
    Duration::from_secs(1).mul_f64(chance())
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

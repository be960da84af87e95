//! Who leads: the election on Lease `ingress-agent-leader` of our namespace.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Error};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::info;

use super::lease::{Candidate, RENEW, RENEW_DEADLINE, Step, TERM_SECONDS};
use super::numbers::{self, Numbers, RECORD};
use super::observer::Heard;
use super::request::{MOST, Patience, RequestError, answer};
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
    /// It lasts until then at least.
    fn lasts_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanoseconds, Ordering::AcqRel);
    }

    fn ends(&self) {
        self.0.store(0, Ordering::Release);
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

    /// Waits until the clock says it too, by which a leader may be none until a late answer comes.
    pub(super) async fn holds(&mut self) {
        while !self.is_held() {
            if self.leads.changed().await.is_err() {
                // There is no election any more.
                return std::future::pending().await;
            }
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
    };
    tasks.spawn(election.stand(wishes));
    leadership
}

/// A term that was won.
struct Won {
    /// When it was asked for.
    asked_at: Duration,
    /// Which of the Lease's terms it is.
    transitions: Option<i32>,
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
}

impl Election {
    async fn stand(mut self, mut wishes: watch::Receiver<Wanted>) {
        while let Some(won) = self.win(&mut wishes).await {
            info!("leads: writes what is written once for all agents");
            self.state.send_replace(State::Leader);
            let drains = self.lead(&won, &mut wishes).await;
            self.state.send_replace(State::Candidate);
            self.term.ends();
            info!("leads no more");
            if drains {
                // Others lead at once; where that fails, they see by themselves.
                _ = self.amendment(&won, "").await;
                break;
            }
        }
        self.state.send_replace(State::Over);
    }

    /// Waits for the Lease to be free and takes it, asking for it at that moment; `None`: the node drains.
    async fn win(&mut self, wishes: &mut watch::Receiver<Wanted>) -> Option<Won> {
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
                        let transitions = taken.spec.and_then(|spec| spec.lease_transitions);
                        return Some(Won { asked_at, transitions });
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
                        self.answered();
                        candidate.see(beat(now.as_ref()), clock::now());
                        lease = now;
                    }
                    Some(Err(error)) => {
                        self.trouble.tell(&error);
                        candidate.unanswered();
                    }
                    None => return None,
                },
                () = drains(wishes) => return None,
            }
        }
    }

    /// Renews the Lease until that fails for too long, or somebody else has it. Whether the node drains.
    ///
    /// A renewal does not wait for the answer to the last one: where answers are late, the term would be over by then.
    async fn lead(&mut self, won: &Won, wishes: &mut watch::Receiver<Wanted>) -> bool {
        let mut renewals = FuturesUnordered::new();
        let mut due = won.asked_at + RENEW;
        loop {
            tokio::select! {
                () = sleep(due.saturating_sub(clock::now())) => {
                    let asked_at = clock::now();
                    if renewals.is_empty() && !self.term.is_on(asked_at) {
                        return false;
                    }
                    let renewal = self.amendment(won, &self.identity);
                    renewals.push(renewal.map(move |answer| (asked_at, answer)));
                    due = asked_at + RENEW.mul_f64(0.95) + jitter() / 10;
                }
                Some((asked_at, answer)) = renewals.next() => match answer {
                    Ok(_) => {
                        self.answered();
                        let is_late = !self.term.is_on(clock::now());
                        self.term.lasts_until(asked_at + RENEW_DEADLINE);
                        if is_late {
                            // Whoever waits looks at the clock again.
                            self.state.send_modify(|_| ());
                        }
                    }
                    Err(RequestError::Outdated) => return false,
                    Err(error) => {
                        self.trouble.tell(&error);
                        due = due.min(clock::now() + AGAIN);
                    }
                },
                () = drains(wishes) => return true,
            }
        }
    }

    fn answered(&mut self) {
        self.trouble.over();
        self.heard.now();
    }

    async fn look(&mut self) -> Result<Option<Lease>, RequestError> {
        self.patience.answer(self.api.get_opt(LEADER)).await
    }

    /// Takes the Lease as it was seen, if nobody has written it since, or makes it.
    async fn take(&mut self, lease: Option<&Lease>) -> Result<Lease, RequestError> {
        let record = {
            let mut numbers = self.numbers();
            numbers.adopt(record(lease), clock::now());
            numbers.record(clock::now())
        };
        let now = MicroTime(Timestamp::now());
        let transitions = lease.and_then(|lease| lease.spec.as_ref()?.lease_transitions);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: Some(TERM_SECONDS.into()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions.unwrap_or_default().saturating_add(1)),
            ..LeaseSpec::default()
        };
        if let Some(lease) = lease {
            let patch = Patch::Merge(json!({
                "metadata": {
                    "resourceVersion": lease.metadata.resource_version,
                    "annotations": {RECORD: record},
                },
                "spec": spec,
            }));
            let parameters = PatchParams::default();
            let patched = self.api.patch(LEADER, &parameters, &patch);
            return self.patience.answer(patched).await;
        }
        let (key, _) = LABEL;
        let new = Lease {
            metadata: ObjectMeta {
                name: Some(LEADER.to_owned()),
                labels: Some([(key.to_owned(), "leader".to_owned())].into()),
                annotations: Some([(RECORD.to_owned(), record)].into()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let parameters = PostParams::default();
        self.patience.answer(self.api.create(&parameters, &new)).await
    }

    /// Writes a heartbeat and the record into a Lease that was won, and who has it from now on; outdated where it is
    /// another's, or this process's by another election. The API server does all of a JSON patch or nothing (RFC 6902,
    /// section 5), over whatever version there is: one that comes late, or after a later one, harms nothing.
    fn amendment(
        &self,
        won: &Won,
        holder: &str,
    ) -> impl Future<Output = Result<Lease, RequestError>> + use<> {
        let record = self.numbers().record(clock::now());
        let annotation = format!("/metadata/annotations/{}", RECORD.replace('/', "~1"));
        let patch = serde_json::from_value(json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": *self.identity},
            {"op": "test", "path": "/spec/leaseTransitions", "value": won.transitions},
            {"op": "replace", "path": "/spec/holderIdentity", "value": holder},
            {"op": "replace", "path": "/spec/renewTime", "value": MicroTime(Timestamp::now())},
            {"op": "add", "path": annotation, "value": record},
        ]));
        let api = self.api.clone();
        async move {
            let patch = Patch::<()>::Json(patch.map_err(Error::SerdeError).map_err(RequestError::Api)?);
            let parameters = PatchParams::default();
            match answer(MOST, api.patch(LEADER, &parameters, &patch)).await {
                // So it answers where a test fails.
                Err(RequestError::Api(Error::Api(status))) if status.code == 422 => {
                    Err(RequestError::Outdated)
                }
                answer => answer,
            }
        }
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

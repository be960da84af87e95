//! Who leads: the election on Lease `ingress-agent-leader` of our namespace.

use std::pin::pin;
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

use super::leadership::{self, Leadership, Office};
use super::lease::{Candidate, RENEW, Step, TERM_SECONDS};
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

/// Stands for election, until it is wished that the node drains.
pub(super) fn start(who: &Who<'_>, wishes: watch::Receiver<Wanted>, tasks: &mut JoinSet<()>) -> Leadership {
    let api: Api<Lease> = Api::namespaced(who.client.clone(), who.namespace);
    let (office, leadership) = leadership::new();
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
        office,
        numbers,
        patience: Patience::new(ANSWER),
        trouble: Trouble::new("renewing or reading Lease `ingress-agent-leader`"),
        watching: Trouble::new("watching Lease `ingress-agent-leader`"),
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
    office: Office,
    numbers: Arc<Mutex<Numbers>>,
    patience: Patience,
    trouble: Trouble,
    watching: Trouble,
}

impl Election {
    async fn stand(mut self, mut wishes: watch::Receiver<Wanted>) {
        while let Some(won) = self.win(&mut wishes).await {
            info!("leads: writes what is written once for all agents");
            self.office.renewed(won.asked_at);
            let drains = self.lead(&won, &mut wishes).await;
            self.office.lost();
            info!("leads no more");
            if drains {
                // Others lead at once; where that fails, they see by themselves.
                _ = self.amendment(&won, "").await;
                break;
            }
        }
        self.office.closed();
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
                        let transitions = taken.spec.and_then(|spec| spec.lease_transitions);
                        return Some(Won {
                            asked_at,
                            transitions,
                        });
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
                    Some(Err(error)) => {
                        self.watching.tell(&error);
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
                    if renewals.is_empty() && !self.office.is_held() {
                        return false;
                    }
                    let renewal = self.amendment(won, &self.identity);
                    renewals.push(renewal.map(move |answer| (asked_at, answer)));
                    due = asked_at + RENEW.mul_f64(0.95) + jitter() / 10;
                }
                Some((asked_at, answer)) = renewals.next() => match answer {
                    Ok(_) => {
                        self.answered();
                        self.office.renewed(asked_at);
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

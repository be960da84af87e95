//! What the Leases say at this moment, for whoever asks this agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as ApiLease;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use tokio::time::timeout;

use super::leader::LEADER;
use super::leadership::Leadership;
use super::{clock, identity};
use crate::digest::lease::{Beat, LABEL, digest};
use crate::status::{Cluster, Lease, NodeState};

/// How long the API server may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// When the API server last answered, on [`clock`], in nanoseconds; 0: never.
#[derive(Debug, Default)]
pub(super) struct Heard(AtomicU64);

impl Heard {
    pub(super) fn now(&self) {
        let now = u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX);
        self.0.store(now, Ordering::Relaxed);
    }

    fn seconds_ago(&self) -> Option<u64> {
        let at = Some(self.0.load(Ordering::Relaxed)).filter(|at| *at != 0)?;
        Some(clock::now().saturating_sub(Duration::from_nanos(at)).as_secs())
    }
}

/// Tells what an agent and its cluster say of themselves.
#[derive(Clone, Debug)]
pub struct Observer {
    pub(super) leases: Api<ApiLease>,
    pub(super) node: Arc<str>,
    pub(super) leadership: Leadership,
    pub(super) heard: Arc<Heard>,
}

impl Observer {
    /// Asks the API server for the Leases, by one list.
    pub async fn look(&self) -> Cluster {
        let mut cluster = Cluster {
            node: self.node.to_string(),
            leads: self.leadership.is_held(),
            answered_seconds_ago: self.heard.seconds_ago(),
            ..Cluster::default()
        };
        let (key, _) = LABEL;
        let ours = ListParams::default().labels(key);
        let list = match timeout(ANSWER, self.leases.list(&ours)).await {
            Ok(list) => list.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {ANSWER:?}")),
        };
        let now = Timestamp::now();
        match list {
            Ok(list) => {
                for lease in list {
                    if lease.metadata.name.as_deref() == Some(LEADER) {
                        let beat = Beat::of(&lease);
                        cluster.leader = beat.holder().map(|holder| identity::node(holder).to_owned());
                    } else {
                        cluster.leases.push(of_node(lease, now));
                    }
                }
            }
            Err(error) => cluster.error = Some(error),
        }
        cluster.leases.sort_by(|a, b| a.node.cmp(&b.node));
        cluster
    }
}

fn of_node(lease: ApiLease, now: Timestamp) -> Lease {
    let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    let value = digest(lease, None);
    Lease {
        node: value.node.to_string(),
        number: value.number,
        state: NodeState::new(value.state, value.generation.is_some()),
        addresses: value.addresses.clone(),
        generation: value.generation.map(|generation| format!("{generation:016x}")),
        renewed_seconds_ago: renewed.and_then(|at| u64::try_from(now.as_second() - at.0.as_second()).ok()),
        faults: value.faults.iter().map(ToString::to_string).collect(),
    }
}

//! What the leader is to write into the status of every VipPool. Pure: whoever leads, and however often, decides the
//! same of the same snapshot, and a decision that is recorded is decided again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::digest::vippool::{Assignment, Owner, VipPoolStatus};
use crate::digest::{Cause, Fault};
use crate::translate::allocation::{self, Share};
use crate::translate::{Controllers, Snapshot};

/// Free addresses are counted up to this.
const MOST: i64 = 1_000_000;
/// Faults that a condition tells.
const TOLD: usize = 5;

/// What is decided about a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Who has which address.
    pub assignments: Vec<(IpAddr, Owner)>,
    /// How many addresses were given out.
    pub used: i64,
    /// The free addresses of the scarcer family, counted up to a million.
    pub free: i64,
    /// `Ready`: the pool has addresses to give.
    pub ready: Judgement,
    /// `Exhausted`: somebody who is to have an address of it has none.
    pub exhausted: Judgement,
}

/// A condition, without a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in words.
    pub message: String,
}

/// The decisions about all pools, by name. `None`: the snapshot does not say enough to decide by it.
pub fn allocate(snapshot: &Snapshot, controllers: Controllers) -> Option<BTreeMap<Arc<str>, Decision>> {
    if snapshot.restored {
        return None;
    }
    let shares = allocation::allocate(snapshot, controllers)?;
    let decisions = shares.iter().map(|share| {
        let name = Arc::clone(&share.pool.value.object.name);
        (name, Decision::new(share))
    });
    Some(decisions.collect())
}

impl Decision {
    fn new(share: &Share<'_>) -> Self {
        let owners = share.holders.iter();
        let owners =
            owners.flat_map(|(address, owners)| owners.iter().map(|owner| (*address, owner.clone())));
        let used = i64::try_from(share.holders.len()).unwrap_or(i64::MAX);
        Self {
            assignments: owners.collect(),
            used,
            free: i64::try_from(share.free).unwrap_or(MOST).min(MOST),
            ready: ready(share),
            exhausted: exhausted(&share.exhausted),
        }
    }

    /// Whether a pool's recorded assignments are these.
    pub(super) fn is_recorded(&self, assignments: &[(IpAddr, Owner)]) -> bool {
        let mut recorded: Vec<_> = assignments.iter().collect();
        recorded.sort();
        recorded.into_iter().eq(&self.assignments)
    }

    /// The status that says so; conditions of others stay. `None`: the last one says it already.
    pub(super) fn status(&self, last: &VipPoolStatus, now: &Time) -> Option<VipPoolStatus> {
        let assignments = self.assignments.iter().map(|(address, owner)| {
            let (class, namespace, name) = match owner {
                Owner::Class(class) => (Some(class), None, None),
                Owner::Ingress { namespace, name } => (None, Some(namespace), Some(name)),
            };
            Assignment {
                address: address.to_string(),
                class: class.map(ToString::to_string),
                namespace: namespace.map(ToString::to_string),
                name: name.map(ToString::to_string),
            }
        });
        let mut conditions = last.conditions.clone();
        for (kind, judgement) in [("Ready", &self.ready), ("Exhausted", &self.exhausted)] {
            let new = judgement.condition(kind, now);
            match conditions.iter_mut().find(|condition| condition.type_ == kind) {
                Some(last) if last.status == new.status => {
                    let since = last.last_transition_time.clone();
                    *last = Condition {
                        last_transition_time: since,
                        ..new
                    };
                }
                Some(last) => *last = new,
                None => conditions.push(new),
            }
        }
        let status = VipPoolStatus {
            assignments: assignments.collect(),
            used: Some(self.used),
            free: Some(self.free),
            conditions,
        };
        (status != *last).then_some(status)
    }
}

impl Judgement {
    fn condition(&self, kind: &str, now: &Time) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: if self.holds { "True" } else { "False" }.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            last_transition_time: now.clone(),
            observed_generation: None,
        }
    }
}

fn ready(share: &Share<'_>) -> Judgement {
    let pool = &share.pool.value;
    // What is wrong with assignments is put right by writing them.
    let of_status = [
        Cause::AssignmentAddress,
        Cause::AssignmentOutside,
        Cause::AssignmentOwner,
        Cause::AssignmentTaken,
    ];
    let faults = share
        .faults
        .iter()
        .filter(|fault| !of_status.contains(&fault.cause));
    let message = words(faults.map(ToString::to_string));
    let holds = !pool.ranges.is_empty();
    let reason = match (holds, message.is_empty()) {
        (false, _) => "NoAddresses",
        (true, false) => "Degraded",
        (true, true) => "Accepted",
    };
    Judgement {
        holds,
        reason,
        message,
    }
}

fn exhausted(faults: &[Fault]) -> Judgement {
    let holds = !faults.is_empty();
    Judgement {
        holds,
        reason: if holds { "NoFreeAddress" } else { "Sufficient" },
        message: words(
            faults
                .iter()
                .map(|fault| format!("{}: {}", fault.found, fault.change)),
        ),
    }
}

/// The first of them, and how many more there are.
fn words(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<_> = all.collect();
    if all.len() > TOLD {
        let more = all.len() - TOLD;
        all.truncate(TOLD);
        all.push(format!("and {more} more"));
    }
    all.join("; ")
}

#[cfg(test)]
mod tests;

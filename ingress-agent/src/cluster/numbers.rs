//! The nodes' numbers: who has which, and which may not be given yet.
//!
//! The Leases say who has which number. The leader remembers it too, so that the number of a Lease that is deleted
//! rests; what it remembers stands in an annotation of the leader's Lease, for those who lead after it, as time
//! that is left and not as a time of day.

mod register;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::node::MAX_NUMBER;

pub(super) use writer::lead;

/// The annotation of the leader's Lease.
pub(super) const RECORD: &str = "ingress-agent.dev/numbers";

/// As long as the record may be, in bytes: an object's annotations have 256 KiB (apimachinery,
/// `TotalAnnotationSizeLimitB`), and a leader that cannot write it cannot renew its Lease.
const LONGEST: usize = 128 * 1024;

/// Which numbers are somebody's.
#[derive(Debug)]
pub(super) struct Numbers {
    owners: BTreeMap<NonZeroU16, Owner>,
    /// For how long nobody else has the number of a node that has gone.
    rest: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Owner {
    /// `None`: not known to this leader.
    node: Option<Arc<str>>,
    /// When others may have it; `None`: it is in use.
    rests_until: Option<Duration>,
}

/// A node that is to have a number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Given {
    pub(super) node: Arc<str>,
    /// `None`: there is none left.
    pub(super) number: Option<NonZeroU16>,
    /// What it has, and may not have.
    pub(super) instead_of: Option<NonZeroU16>,
}

/// [`RECORD`]'s text, as JSON.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Record {
    /// `1-3,7`.
    used: String,
    /// By number: whose it was, and for how many seconds nobody else may have it.
    resting: BTreeMap<NonZeroU16, (Option<String>, u64)>,
}

impl Record {
    fn text(&self) -> String {
        // Strings and numbers become JSON without fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Numbers {
    /// Knows of none.
    pub(super) fn new(rest: Duration) -> Self {
        Self {
            owners: BTreeMap::new(),
            rest,
        }
    }

    /// Forgets everything and goes on where the last leader's record ends. What of it cannot be read is ignored:
    /// numbers in use stand in the Leases too.
    pub(super) fn adopt(&mut self, record: Option<&str>, now: Duration) {
        let record: Record = record
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let used = parse_runs(&record.used).into_iter().map(|number| {
            let owner = Owner {
                node: None,
                rests_until: None,
            };
            (number, owner)
        });
        self.owners = used.collect();
        for (number, (node, seconds)) in record.resting {
            let rest = Duration::from_secs(seconds).min(self.rest);
            let rests_until = Some(now + rest);
            let node = node.map(Arc::from);
            self.owners.insert(number, Owner { node, rests_until });
        }
    }

    /// What the next leader has to know.
    pub(super) fn record(&self, now: Duration) -> String {
        let used = self
            .owners
            .iter()
            .filter(|(_, owner)| owner.rests_until.is_none());
        let resting = self.owners.iter().filter_map(|(number, owner)| {
            let left = owner.rests_until?.checked_sub(now)?;
            // Rather a second too long.
            Some((
                *number,
                (owner.node.as_deref().map(str::to_owned), left.as_secs() + 1),
            ))
        });
        let mut record = Record {
            used: runs(used.map(|(number, _)| number.get())),
            resting: resting.collect(),
        };
        let text = record.text();
        if text.len() <= LONGEST {
            return text;
        }
        // Whoever returns is given another number then.
        record.resting.values_mut().for_each(|(node, _)| *node = None);
        record.text()
    }

    /// The numbers to give to nodes that have none or may not have theirs, by the nodes that have a Lease and the
    /// numbers that stand there. Of two nodes with one number it is whose it was, else the first by name.
    pub(super) fn assign(
        &mut self,
        leases: &BTreeMap<Arc<str>, Option<NonZeroU16>>,
        now: Duration,
    ) -> Vec<Given> {
        self.owners
            .retain(|_, owner| owner.rests_until.is_none_or(|until| now < until));
        let claims: BTreeSet<_> = leases
            .iter()
            .filter_map(|(node, number)| Some(((*number)?, Arc::clone(node))))
            .collect();
        let settled = self.settle(&claims);
        self.rest(leases, &settled, now);
        let mut given = Vec::new();
        for (node, instead_of) in leases {
            if settled.contains_key(node) {
                continue;
            }
            let number = self.number_of(node).or_else(|| self.free());
            if let Some(number) = number {
                self.use_by(number, node);
            }
            given.push(Given {
                node: Arc::clone(node),
                number,
                instead_of: *instead_of,
            });
        }
        given
    }

    /// Enters the nodes that may keep their numbers. They, with them.
    fn settle(&mut self, claims: &BTreeSet<(NonZeroU16, Arc<str>)>) -> BTreeMap<Arc<str>, NonZeroU16> {
        let mut settled = BTreeMap::new();
        for (number, node) in claims {
            let may = self.owners.get(number).is_none_or(|owner| match &owner.node {
                Some(owner) => owner == node,
                // In use by somebody: by whoever has it.
                None => owner.rests_until.is_none(),
            });
            if may {
                self.use_by(*number, node);
                settled.insert(Arc::clone(node), *number);
            }
        }
        settled
    }

    /// Lets the numbers rest whose nodes are gone or have another.
    fn rest(
        &mut self,
        leases: &BTreeMap<Arc<str>, Option<NonZeroU16>>,
        settled: &BTreeMap<Arc<str>, NonZeroU16>,
        now: Duration,
    ) {
        for (number, owner) in &mut self.owners {
            let is_used = owner.node.as_ref().is_some_and(|node| match settled.get(node) {
                Some(other) => other == number,
                // It is about to be given it.
                None => leases.contains_key(node),
            });
            if !is_used && owner.rests_until.is_none() {
                owner.rests_until = Some(now + self.rest);
            }
        }
    }

    /// What is the node's already.
    fn number_of(&self, node: &Arc<str>) -> Option<NonZeroU16> {
        let own = self
            .owners
            .iter()
            .filter(|(_, owner)| owner.node.as_ref() == Some(node));
        own.min_by_key(|(_, owner)| owner.rests_until.is_some())
            .map(|(number, _)| *number)
    }

    fn free(&self) -> Option<NonZeroU16> {
        (1..=MAX_NUMBER)
            .filter_map(NonZeroU16::new)
            .find(|number| !self.owners.contains_key(number))
    }

    fn use_by(&mut self, number: NonZeroU16, node: &Arc<str>) {
        let owner = Owner {
            node: Some(Arc::clone(node)),
            rests_until: None,
        };
        self.owners.insert(number, owner);
    }
}

/// `1-3,7` of ascending numbers.
fn runs(numbers: impl Iterator<Item = u16>) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some(_) | None => runs.push((number, number)),
        }
    }
    let texts: Vec<_> = runs
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(",")
}

/// The numbers of `1-3,7`; what is no number is ignored.
fn parse_runs(text: &str) -> BTreeSet<NonZeroU16> {
    let run = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let runs = text.split(',').filter_map(run);
    runs.flatten()
        .filter(|number: &u16| *number <= MAX_NUMBER)
        .filter_map(NonZeroU16::new)
        .collect()
}

#[cfg(test)]
mod tests;

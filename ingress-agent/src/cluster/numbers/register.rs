//! The nodes' Leases as the leader sees them, and what is to be written into them. Pure: it knows no client, and the
//! time is given.
//!
//! A Lease is written over the version that was seen last, and over each version once: every node renews its own every
//! five seconds, and whoever tries all that are behind again at each event never catches up with a hundred of them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;

use super::{Given, Numbers};
use crate::cluster::lease::Judge;
use crate::digest::lease::{self, Beat, digest};

/// The nodes' Leases.
#[derive(Debug)]
pub(super) struct Register {
    leases: BTreeMap<String, Known>,
    /// What the list under way has brought so far.
    listing: BTreeMap<String, Known>,
    /// Whether a list was complete once: before that, a number without a Lease is not a free one.
    is_listed: bool,
    judge: Judge,
    /// After what a Lease that ended is deleted.
    gone: Duration,
    /// Whose Leases lack a number or have a wrong one, by the names of these.
    behind: BTreeMap<String, Given>,
    /// Whether that has to be decided anew.
    is_stale: bool,
}

/// What the leader needs of a Lease.
#[derive(Debug)]
struct Known {
    node: Arc<str>,
    number: Option<NonZeroU16>,
    uid: Option<String>,
    /// As it was seen last; `None`: a write was tried over it, and the watch will show the next one.
    version: Option<String>,
}

/// A number that is to be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Write {
    /// The Lease.
    pub(super) name: String,
    /// Over which version.
    pub(super) version: String,
    pub(super) given: Given,
}

/// A Lease that is to be deleted, if it is as it was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) node: Arc<str>,
    pub(super) uid: Option<String>,
    pub(super) version: String,
}

impl Register {
    /// Of whoever's own Lease has this name.
    pub(super) fn new(own: &str, gone: Duration) -> Self {
        Self {
            leases: BTreeMap::new(),
            listing: BTreeMap::new(),
            is_listed: false,
            judge: Judge::new(own),
            gone,
            behind: BTreeMap::new(),
            is_stale: false,
        }
    }

    /// A list begins; one that was not complete counts for nothing.
    pub(super) fn list_begins(&mut self) {
        self.listing.clear();
    }

    /// A Lease of the list.
    pub(super) fn list(&mut self, lease: Lease, now: Duration) {
        let (name, known) = self.known(lease, now);
        self.listing.insert(name, known);
    }

    /// The list is complete.
    pub(super) fn list_ends(&mut self) {
        self.leases = std::mem::take(&mut self.listing);
        self.judge.retain(|name| self.leases.contains_key(name));
        self.is_listed = true;
        self.is_stale = true;
    }

    /// A Lease changed. That it was renewed is no reason to decide anything.
    pub(super) fn see(&mut self, lease: Lease, now: Duration) {
        let (name, known) = self.known(lease, now);
        let last = self.leases.get(&name);
        self.is_stale |= last.is_none_or(|last| last.number != known.number);
        self.leases.insert(name, known);
    }

    /// A Lease was deleted.
    pub(super) fn forget(&mut self, name: &str) {
        self.leases.remove(name);
        self.judge.retain(|other| other != name);
        self.is_stale = true;
    }

    /// Time has passed: a number may rest no more.
    pub(super) fn time_passes(&mut self) {
        self.is_stale = true;
    }

    /// The next number to write.
    pub(super) fn next(&mut self, numbers: &mut Numbers, now: Duration) -> Option<Write> {
        if self.is_listed && std::mem::take(&mut self.is_stale) {
            self.decide(numbers, now);
        }
        self.behind.iter().find_map(|(name, given)| {
            let version = self.leases.get_mut(name)?.version.take()?;
            Some(Write {
                name: name.clone(),
                version,
                given: given.clone(),
            })
        })
    }

    fn decide(&mut self, numbers: &mut Numbers, now: Duration) {
        let nodes = self.leases.values().filter(|known| !known.node.is_empty());
        let nodes = nodes.map(|known| (Arc::clone(&known.node), known.number));
        let given = numbers.assign(&nodes.collect(), now).into_iter();
        let named = given.filter_map(|given| Some((lease::name(&given.node)?, given)));
        self.behind = named.collect();
    }

    /// A number stands in its Lease, which has this version now.
    pub(super) fn wrote(&mut self, write: &Write, version: Option<String>) {
        self.behind.remove(&write.name);
        if let Some(known) = self.leases.get_mut(&write.name) {
            known.number = write.given.number;
            known.version = version;
        }
    }

    /// What is to be deleted now.
    pub(super) fn ended(&self, now: Duration) -> Vec<Ended> {
        let is_gone = |name: &str| {
            self.judge
                .over_for(name, now)
                .is_some_and(|over| over >= self.gone)
        };
        let ended = self.leases.iter().filter(|(name, _)| is_gone(name));
        let ended = ended.filter_map(|(name, known)| {
            Some(Ended {
                name: name.clone(),
                node: Arc::clone(&known.node),
                uid: known.uid.clone(),
                version: known.version.clone()?,
            })
        });
        ended.collect()
    }

    fn known(&mut self, lease: Lease, now: Duration) -> (String, Known) {
        let name = lease.metadata.name.clone().unwrap_or_default();
        self.judge.see(&name, Beat::of(&lease), now);
        let (uid, version) = (
            lease.metadata.uid.clone(),
            lease.metadata.resource_version.clone(),
        );
        let value = digest(lease, None);
        let known = Known {
            node: Arc::clone(&value.node),
            number: value.number,
            uid,
            version,
        };
        (name, known)
    }
}

#[cfg(test)]
mod tests;

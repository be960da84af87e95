//! What Ingresses' status says, and what it should. Pure: it knows no client and no clock.
//!
//! Only entries of ours are added and taken away: what this process wrote, or a leader before it as the managed
//! fields say; on an Ingress of ours also addresses of VipPools, which are nobody else's. A node's address is not ours
//! by itself: a controller on the host's network writes it, too. Others' entries stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;
use tokio::time::Instant;

use super::retries::Retries;
use super::settling::Settling;
use crate::digest::vippool::Range;
use crate::translate::{Due, IngressKey, Snapshot};

/// An entry of `status.loadBalancer.ingress`.
pub(super) type Entry = IngressLoadBalancerIngress;
/// What is wanted of each Ingress that is known.
pub(super) type Wanted = BTreeMap<IngressKey, Due>;

/// What an Ingress's status says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The `resourceVersion` that says so.
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
    /// How many of them, from the first, are others', where a leader of ours wrote them; `None`: somebody else did.
    pub(super) others: Option<usize>,
}

/// The status of all Ingresses.
#[derive(Debug, Default)]
pub(super) struct Roll {
    seen: HashMap<IngressKey, Seen>,
    /// `None`: not known yet.
    wanted: Option<Wanted>,
    /// Of all pools that there were.
    ranges: Vec<Range>,
    /// What was added to entries.
    written: HashMap<IngressKey, BTreeSet<IpAddr>>,
    /// What is to be looked at.
    stale: BTreeSet<IngressKey>,
    /// To be looked at later: its addresses are new.
    settling: Settling<IngressKey>,
    /// Being written, over these versions; the answer, or the watch, says how it ended.
    under_way: HashMap<IngressKey, String>,
    /// What could not be written; a change is reason enough to try it at once.
    failed: Retries<IngressKey>,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    pub(super) key: IngressKey,
    /// Over which version.
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
    /// How many of them, from the first, are others'.
    pub(super) others: usize,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The Ingress as it is now.
    Written(Seen),
    /// Somebody else wrote it, or it is gone: the watch tells.
    Outdated,
    /// It is to be tried again.
    Failed,
}

impl Roll {
    /// Forgets what was seen of a namespace, or of all: a list of its Ingresses begins.
    pub(super) fn list_begins(&mut self, namespace: Option<&str>) {
        self.seen
            .retain(|(own, _), _| namespace.is_some_and(|namespace| **own != *namespace));
    }

    /// The list is complete: what it lacks is gone.
    pub(super) fn list_ends(&mut self, namespace: Option<&str>, now: Instant) {
        let is_listed = |(own, _): &IngressKey| namespace.is_none_or(|namespace| **own == *namespace);
        let gone = self
            .written
            .keys()
            .filter(|key| is_listed(key) && !self.seen.contains_key(*key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.forget(&key, now);
        }
    }

    /// An Ingress is as it came.
    pub(super) fn see(&mut self, key: IngressKey, seen: Seen) {
        self.stale.insert(key.clone());
        self.seen.insert(key, seen);
    }

    /// An Ingress is gone. What is still wanted of it says nothing of the next one of its name.
    pub(super) fn forget(&mut self, key: &IngressKey, now: Instant) {
        self.seen.remove(key);
        self.written.remove(key);
        self.failed.over(key);
        self.settling.begin(key.clone(), now);
    }

    /// Other addresses are wanted. What the snapshot does not know yet stays as it is.
    pub(super) fn want(&mut self, wanted: Wanted, snapshot: &Snapshot, now: Instant) {
        let ranges = snapshot.pools.iter().flat_map(|pool| &pool.value.ranges);
        for range in ranges {
            if !self.ranges.contains(range) {
                self.ranges.push(*range);
            }
        }
        let last = self.wanted.replace(wanted);
        for (key, due) in self.wanted.iter().flatten() {
            let before = last.as_ref().and_then(|last| last.get(key));
            if before == Some(due) {
                continue;
            }
            // What is there when this process comes to lead was given by another.
            if last.is_some() && due.adds_to(before) {
                self.settling.begin(key.clone(), now);
            }
            self.stale.insert(key.clone());
        }
    }

    /// A write ended. Says whether it failed, and for the first time.
    pub(super) fn wrote(&mut self, key: IngressKey, outcome: Outcome, now: Instant) -> bool {
        let over = self.under_way.remove(&key);
        let seen = self.seen.get(&key).map(|seen| &seen.version);
        let is_last_seen = seen.is_some() && seen == over.as_ref();
        match outcome {
            Outcome::Written(now) if is_last_seen => self.see(key, now),
            Outcome::Outdated if is_last_seen => {}
            // The watch has told of this write already, or of another.
            Outcome::Written(_) | Outcome::Outdated => _ = self.stale.insert(key),
            Outcome::Failed => return self.failed.failed(key, now),
        }
        false
    }

    /// The next write; what it leaves is not looked at again until something about it changes.
    pub(super) fn next(&mut self, now: Instant) -> Option<Write> {
        self.wanted.as_ref()?;
        while let Some(key) = self.settling.take_settled(now) {
            self.stale.insert(key);
        }
        loop {
            let key = self.take_stale(now)?;
            let Some(write) = self.write(&key) else {
                self.failed.over(&key);
                continue;
            };
            self.under_way.insert(key, write.version.clone());
            return Some(write);
        }
    }

    /// When there may be a next write though nothing is told.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        let ends = [self.failed.next_end(now), self.settling.next_end(now)];
        ends.into_iter().flatten().min()
    }

    /// What to look at next: first what has not failed as it is.
    fn take_stale(&mut self, now: Instant) -> Option<IngressKey> {
        let mut stale = self.stale.iter();
        if let Some(key) = stale.find(|key| !self.under_way.contains_key(*key)).cloned() {
            self.stale.remove(&key);
            return Some(key);
        }
        std::iter::from_fn(|| self.failed.take_due(now)).find(|key| !self.under_way.contains_key(key))
    }

    /// What is to be written of an Ingress; `None`: nothing.
    fn write(&mut self, key: &IngressKey) -> Option<Write> {
        if self.settling.has(key) {
            return None;
        }
        let (seen, due) = (self.seen.get(key)?, self.wanted.as_ref()?.get(key)?);
        let (wanted, rest, ranges): (&[IpAddr], _, &[Range]) = match due {
            Due::Addresses(addresses) => (addresses, None, &self.ranges),
            Due::AtLeast(addresses, rest) => (addresses, Some(rest), &self.ranges),
            Due::NotOurs => (&[], None, &[]),
        };
        let written = self.written.get(key);
        let is_ours = |index: usize, address| {
            seen.others.is_some_and(|others| index >= others)
                || written.is_some_and(|written| written.contains(&address))
                || ranges.iter().any(|range| range.contains(address))
        };
        let ours = (0..).zip(seen.entries.iter().map(address));
        let ours = ours.filter_map(|(index, own)| own.filter(|own| is_ours(index, *own)));
        let stay = ours.filter(|own| !wanted.contains(own) && rest.is_some_and(|rest| rest.has(*own)));
        let wanted: Vec<_> = stay.chain(wanted.iter().copied()).collect();
        let Some(merged) = merge(&seen.entries, &wanted, is_ours) else {
            if let Some(written) = self.written.get_mut(key) {
                written.retain(|address| wanted.contains(address));
            }
            return None;
        };
        let Merged { entries, others } = merged;
        let added = entries.iter().skip(others).filter_map(address);
        self.written.entry(key.clone()).or_default().extend(added);
        Some(Write {
            key: key.clone(),
            version: seen.version.clone(),
            entries,
            others,
        })
    }
}

/// A list with the entries of others first.
struct Merged {
    entries: Vec<Entry>,
    others: usize,
}

/// The list with what is wanted and without what is ours and not wanted; `None`: it is so, in whatever order.
fn merge(entries: &[Entry], wanted: &[IpAddr], is_ours: impl Fn(usize, IpAddr) -> bool) -> Option<Merged> {
    let is_ours = |(index, entry): &(usize, &Entry)| address(entry).is_some_and(|own| is_ours(*index, own));
    let (ours, others): (Vec<_>, Vec<_>) = entries.iter().enumerate().partition(is_ours);
    let addresses = |entries: &[(usize, &Entry)]| -> BTreeSet<_> {
        entries.iter().filter_map(|(_, entry)| address(entry)).collect()
    };
    let (there, anyway) = (addresses(&ours), addresses(&others));
    let missing = wanted
        .iter()
        .any(|address| !there.contains(address) && !anyway.contains(address));
    if !missing && there.iter().all(|address| wanted.contains(address)) {
        return None;
    }
    let own = wanted.iter().filter(|address| !anyway.contains(address));
    let own = own.map(|address| Entry {
        ip: Some(address.to_string()),
        ..Entry::default()
    });
    let count = others.len();
    let others = others.into_iter().map(|(_, entry)| entry.clone());
    Some(Merged {
        entries: others.chain(own).collect(),
        others: count,
    })
}

fn address(entry: &Entry) -> Option<IpAddr> {
    entry.ip.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests;

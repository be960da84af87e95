//! What Ingresses' status says, and what it should. Pure: it knows no client.
//!
//! Only entries of ours are added and taken away: addresses of VipPools, of nodes, and what this process wrote.
//! Others' entries stay where they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::IngressLoadBalancerIngress;

use crate::digest::vippool::Range;
use crate::translate::{IngressKey, Snapshot};

/// An entry of `status.loadBalancer.ingress`.
pub(super) type Entry = IngressLoadBalancerIngress;
/// What is wanted of each Ingress of ours; `None`: as it is.
pub(super) type Wanted = BTreeMap<IngressKey, Option<Arc<[IpAddr]>>>;

/// What an Ingress's status says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// The `resourceVersion` that says so.
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
}

/// Which addresses are ours to take away.
#[derive(Debug, Default)]
pub(super) struct Ours {
    ranges: Vec<Range>,
    nodes: BTreeSet<IpAddr>,
    written: BTreeSet<IpAddr>,
}

impl Ours {
    /// Those of a snapshot, and what was written before.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) {
        let pools = snapshot.pools.iter().map(|entry| &entry.value);
        self.ranges = pools.flat_map(|pool| pool.ranges.iter().copied()).collect();
        let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
        self.nodes = nodes.flat_map(|node| &node.member.addresses).copied().collect();
    }

    fn has(&self, address: IpAddr) -> bool {
        self.written.contains(&address)
            || self.nodes.contains(&address)
            || self.ranges.iter().any(|range| range.contains(address))
    }
}

/// The status of all Ingresses.
#[derive(Debug, Default)]
pub(super) struct Roll {
    seen: HashMap<IngressKey, Seen>,
    wanted: Wanted,
    ours: Ours,
    /// What is to be looked at.
    stale: BTreeSet<IngressKey>,
    /// Being written, over these versions; the answer, or the watch, says how it ended.
    under_way: HashMap<IngressKey, String>,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    pub(super) key: IngressKey,
    /// Over which version.
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
}

impl Roll {
    /// Forgets what was seen: a list begins.
    pub(super) fn list_begins(&mut self) {
        self.seen.clear();
    }

    /// An Ingress is as it came.
    pub(super) fn see(&mut self, key: IngressKey, seen: Seen) {
        self.stale.insert(key.clone());
        self.seen.insert(key, seen);
    }

    /// An Ingress is gone.
    pub(super) fn forget(&mut self, key: &IngressKey) {
        self.seen.remove(key);
    }

    /// Other addresses are wanted.
    pub(super) fn want(&mut self, wanted: Wanted, snapshot: &Snapshot) {
        self.ours.follow(snapshot);
        let changed = wanted
            .iter()
            .filter(|(key, new)| self.wanted.get(*key) != Some(*new));
        self.stale.extend(changed.map(|(key, _)| key.clone()));
        let left = self.wanted.keys().filter(|key| !wanted.contains_key(*key));
        self.stale.extend(left.cloned());
        self.wanted = wanted;
    }

    /// A write ended: the Ingress as it is now, or `None` where that failed and is to be tried again.
    pub(super) fn wrote(&mut self, key: IngressKey, now: Option<Seen>) {
        let over = self.under_way.remove(&key);
        let seen = self.seen.get(&key).map(|seen| &seen.version);
        match now {
            Some(now) if seen.is_some() && seen == over.as_ref() => self.see(key, now),
            // The watch has told of this write already, or of a later one.
            Some(_) | None => _ = self.stale.insert(key),
        }
    }

    /// The next write; what it leaves is not looked at again until something about it changes.
    pub(super) fn next(&mut self) -> Option<Write> {
        loop {
            let key = self
                .stale
                .iter()
                .find(|key| !self.under_way.contains_key(*key))
                .cloned()?;
            self.stale.remove(&key);
            let Some(seen) = self.seen.get(&key) else {
                continue;
            };
            // One that is not ours keeps what is not ours.
            let wanted: &[IpAddr] = match self.wanted.get(&key) {
                Some(None) => continue,
                Some(Some(wanted)) => wanted,
                None => &[],
            };
            let entries = merge(&seen.entries, wanted, &self.ours);
            if entries == seen.entries {
                continue;
            }
            self.ours.written.extend(wanted);
            self.under_way.insert(key.clone(), seen.version.clone());
            return Some(Write {
                version: seen.version.clone(),
                key,
                entries,
            });
        }
    }
}

/// The entries with what is wanted and without what is ours and not wanted; the others in their places.
fn merge(entries: &[Entry], wanted: &[IpAddr], ours: &Ours) -> Vec<Entry> {
    let address = |entry: &Entry| entry.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let kept = entries
        .iter()
        .filter(|entry| address(entry).is_none_or(|address| wanted.contains(&address) || !ours.has(address)));
    let mut merged: Vec<_> = kept.cloned().collect();
    let there: BTreeSet<_> = merged.iter().filter_map(address).collect();
    let missing = wanted.iter().filter(|address| !there.contains(address));
    merged.extend(missing.map(|address| Entry {
        ip: Some(address.to_string()),
        ..Entry::default()
    }));
    merged
}

#[cfg(test)]
mod tests;

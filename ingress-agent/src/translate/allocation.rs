//! Who has which address of which pool.
//!
//! A class has one address of each family of every pool that serves it; an Ingress that asks for addresses of its
//! own has the same, where the pool serves its class and its namespace. What a pool's status records counts as long
//! as its owner may have it. Who lacks an address gets the first free one, classes by name and then Ingresses by
//! precedence, or waits for the leader, as the snapshot has it. Where pools overlap the older one has the
//! addresses; a node's own address is never given out. Pure: the same for the leader, who records it, and for every
//! node, which serves it.

mod blocked;
mod fault;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::net::IpAddr;
use std::sync::Arc;

use super::audience::admits;
use super::classes::{Classes, Controllers};
use super::snapshot::Allocation;
use super::{Entry, Snapshot};
use crate::digest::vippool::{MAX_ASSIGNMENTS, Owner, Range};
use crate::digest::{Fault, Ingress, Nodes, Pool};
use crate::model::ObjectRef;

use blocked::Blocked;
pub(super) use fault::pending;

/// A pool's addresses and those who have them.
#[derive(Debug)]
pub struct Share<'a> {
    /// The pool.
    pub pool: &'a Entry<Pool>,
    /// The classes that it serves.
    pub classes: BTreeSet<Arc<str>>,
    /// At each address that was given out: one Ingress, or classes.
    pub holders: BTreeMap<IpAddr, BTreeSet<Owner>>,
    /// What is wrong with the pool.
    pub faults: Vec<Fault>,
    /// For whom it has no address left.
    pub exhausted: Vec<Fault>,
    /// Who is still to be given an address, and whether it is an IPv4 one.
    pub pending: Vec<(Owner, bool)>,
    /// The free addresses of the scarcer of its families.
    pub free: u128,
}

/// An Ingress that asks for addresses of its own.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) class: &'a Arc<str>,
    pub(super) entry: &'a Entry<Ingress>,
}

impl Own<'_> {
    pub(super) fn owner(&self) -> Owner {
        let ObjectRef { namespace, name, .. } = &self.entry.value.object;
        Owner::Ingress {
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        }
    }
}

/// What the pools of a snapshot are to give, whoever gives it out; `None`: the nodes are not known, and with them
/// what is not to be given.
pub fn allocate(snapshot: &Snapshot, controllers: Controllers) -> Option<Vec<Share<'_>>> {
    let classes = Classes::new(snapshot, controllers);
    let own = snapshot.ingresses.iter().filter_map(|entry| {
        let asks = entry.value.annotations.own_vip;
        let (class, _) = asks.then(|| classes.class_of(&entry.value)).flatten()?;
        Some(Own { class, entry })
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by(|a, b| a.entry.precedence.cmp(&b.entry.precedence));
    shares(snapshot, &classes, &own, Allocation::FirstFree)
}

/// The pools by precedence. `own`: by precedence.
pub(super) fn shares<'a>(
    snapshot: &'a Snapshot,
    classes: &Classes<'_>,
    own: &[Own<'_>],
    allocation: Allocation,
) -> Option<Vec<Share<'a>>> {
    let mut pools: Vec<_> = snapshot.pools.iter().collect();
    pools.sort_by(|a, b| a.precedence.cmp(&b.precedence));
    let named: BTreeSet<_> = pools.iter().flat_map(|pool| &pool.value.classes).collect();
    let nodes: &Nodes = snapshot.nodes.as_ref()?;
    let mut blocked = Blocked::new(nodes);
    let shares = pools.into_iter().map(|pool| {
        let mut faults = pool.value.faults.clone();
        faults.extend(blocked.faults(&pool.value));
        let served = serves(&pool.value, classes, &named, &mut faults);
        let own = own.iter().filter(|own| {
            served.contains(own.class) && admits(&pool.value.namespaces, &own.entry.value.object.namespace)
        });
        let own = own.map(Own::owner);
        let claimants: Vec<_> = served.iter().cloned().map(Owner::Class).chain(own).collect();
        let mut share = Share {
            pool,
            classes: served,
            holders: BTreeMap::new(),
            faults,
            exhausted: Vec::new(),
            pending: Vec::new(),
            free: 0,
        };
        let taken: Vec<_> = blocked.ranges().copied().collect();
        share.keep(&claimants, &taken);
        share.complete(&claimants, &taken, allocation);
        share.count(&taken);
        blocked.add(&pool.value);
        share
    });
    Some(shares.collect())
}

/// The classes that a pool serves.
fn serves(
    pool: &Pool,
    classes: &Classes<'_>,
    named: &BTreeSet<&Arc<str>>,
    faults: &mut Vec<Fault>,
) -> BTreeSet<Arc<str>> {
    let ours = &classes.ours;
    if pool.classes.is_empty() {
        let unnamed = ours.keys().filter(|class| !named.contains(class));
        return unnamed.cloned().collect();
    }
    let mut served = BTreeSet::new();
    for (index, name) in pool.classes.iter().enumerate() {
        if ours.contains_key(name) {
            served.insert(Arc::clone(name));
        } else {
            faults.push(fault::class(index, name, ours.keys().map(|name| &**name)));
        }
    }
    served
}

impl Share<'_> {
    /// Takes over what the status records.
    fn keep(&mut self, claimants: &[Owner], blocked: &[Range]) {
        let claimants: BTreeSet<_> = claimants.iter().collect();
        let Pool {
            assignments, ranges, ..
        } = &*self.pool.value;
        let claimed = assignments.iter().filter(|(_, owner)| claimants.contains(owner));
        for (address, owner) in claimed {
            let has = |ranges: &[Range]| ranges.iter().any(|range| range.contains(*address));
            if !has(ranges) || has(blocked) {
                self.faults.push(fault::not_ours(*address, owner));
                continue;
            }
            match self.holders.entry(*address) {
                Slot::Vacant(free) => {
                    free.insert(BTreeSet::from([owner.clone()]));
                }
                Slot::Occupied(mut held) => {
                    let holders = held.get_mut();
                    let shared = holders
                        .iter()
                        .chain([owner])
                        .all(|owner| matches!(owner, Owner::Class(_)));
                    if shared {
                        holders.insert(owner.clone());
                    } else if let Some(holder) = holders.first().filter(|holder| *holder != owner) {
                        self.faults.push(fault::taken(*address, owner, holder));
                    }
                }
            }
        }
    }

    /// Gives what is missing, or says who waits for it.
    fn complete(&mut self, claimants: &[Owner], blocked: &[Range], allocation: Allocation) {
        let ranges = &self.pool.value.ranges;
        for v4 in [true, false].into_iter().filter(|v4| has_family(ranges, *v4)) {
            let given: BTreeSet<_> = self.holders.keys().copied().collect();
            let held = self.holders.iter().filter(|(address, _)| address.is_ipv4() == v4);
            let held: BTreeSet<_> = held.flat_map(|(_, owners)| owners.iter().cloned()).collect();
            let mut free = free(ranges, v4, blocked, &given).peekable();
            for owner in claimants.iter().filter(|owner| !held.contains(owner)) {
                let next = if self.holders.len() < MAX_ASSIGNMENTS {
                    next(&mut free, allocation)
                } else {
                    Next::Never
                };
                match next {
                    Next::Free(address) => {
                        self.holders.insert(address, BTreeSet::from([owner.clone()]));
                    }
                    Next::Later => self.pending.push((owner.clone(), v4)),
                    Next::Never => self.exhausted.push(fault::exhausted(owner, v4)),
                }
            }
        }
    }

    fn count(&mut self, blocked: &[Range]) {
        let ranges = &self.pool.value.ranges;
        let families = [true, false].into_iter().filter(|v4| has_family(ranges, *v4));
        let counts = families.map(|v4| {
            let parts = parts(ranges, v4, blocked);
            let all = parts.fold(0, |sum: u128, (range, others)| {
                sum.saturating_add(range.count_outside(&others))
            });
            let given = self.holders.keys().filter(|address| address.is_ipv4() == v4);
            all.saturating_sub(u128::try_from(given.count()).unwrap_or(u128::MAX))
        });
        self.free = counts.min().unwrap_or(0);
    }
}

fn has_family(ranges: &[Range], v4: bool) -> bool {
    ranges.iter().any(|range| range.first.is_ipv4() == v4)
}

/// The ranges of a family, each with what of it is not to be given out: what is blocked, and what an earlier range of
/// the same pool has.
fn parts(ranges: &[Range], v4: bool, blocked: &[Range]) -> impl Iterator<Item = (Range, Vec<Range>)> {
    let of_family = ranges.iter().enumerate();
    let of_family = of_family.filter(move |(_, range)| range.first.is_ipv4() == v4);
    of_family.map(move |(index, range)| {
        let earlier = ranges.iter().take(index);
        let others = blocked.iter().chain(earlier).copied();
        (
            *range,
            others.filter(|other| other.overlap(range).is_some()).collect(),
        )
    })
}

/// The free addresses of a family, in the pool's order.
fn free(
    ranges: &[Range],
    v4: bool,
    blocked: &[Range],
    given: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = IpAddr> {
    let parts = parts(ranges, v4, blocked);
    let all = parts.flat_map(|(range, others)| range.outside(others));
    all.filter(|address| !given.contains(address))
}

/// What somebody without an address gets.
enum Next {
    Free(IpAddr),
    /// There is one, and the leader gives it.
    Later,
    Never,
}

fn next(free: &mut Peekable<impl Iterator<Item = IpAddr>>, allocation: Allocation) -> Next {
    match allocation {
        Allocation::FirstFree => free.next().map_or(Next::Never, Next::Free),
        Allocation::Recorded => free.peek().map_or(Next::Never, |_| Next::Later),
    }
}

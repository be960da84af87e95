//! At which addresses each Ingress is to be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Snapshot;
use super::allocation::{self, Own};
use super::audience::admits;
use super::classes::{Classes, Controllers};
use crate::digest::vippool::Owner;
use crate::digest::{Ingress, Selector};
use crate::model::MemberState;

/// An Ingress's namespace and name.
pub type IngressKey = (Arc<str>, Arc<str>);

/// The addresses of every Ingress of ours, in their order: those that VipPools give its class or itself or, where
/// there is no pool, those of the nodes that take connections. `None` for one that is still to be given some, or whose
/// addresses no node is ready to serve: what it has is not to be taken from it. Nothing at all where the snapshot does not say enough.
pub fn addresses(
    snapshot: &Snapshot,
    controllers: Controllers,
) -> Option<BTreeMap<IngressKey, Option<Arc<[IpAddr]>>>> {
    if snapshot.restored {
        return None;
    }
    let classes = Classes::new(snapshot, controllers);
    let ours = snapshot.ingresses.iter().filter_map(|entry| {
        let (class, _) = classes.class_of(&entry.value)?;
        Some(Own { class, entry })
    });
    let ours: Vec<_> = ours.collect();
    let given = if snapshot.pools.is_empty() {
        Given::nodes(snapshot)?
    } else {
        Given::pools(snapshot, &classes, &ours)?
    };
    let of = |ours: &Own<'_>| (key(&ours.entry.value), given.to(ours));
    Some(ours.iter().map(of).collect())
}

fn key(ingress: &Ingress) -> IngressKey {
    let object = &ingress.object;
    (Arc::clone(&object.namespace), Arc::clone(&object.name))
}

/// What was given out.
enum Given<'a> {
    Nodes(Arc<[IpAddr]>),
    Pools {
        /// By class: who shares the addresses.
        shared: BTreeMap<Arc<str>, Vec<(&'a Selector, Vec<IpAddr>)>>,
        own: BTreeMap<Owner, BTreeSet<IpAddr>>,
        pending: BTreeSet<Owner>,
    },
}

impl<'a> Given<'a> {
    fn nodes(snapshot: &Snapshot) -> Option<Self> {
        let nodes = snapshot.nodes.as_ref()?.nodes.iter();
        let taking = nodes.filter(|node| node.member.state == MemberState::Active);
        let addresses: BTreeSet<_> = taking.flat_map(|node| &node.member.addresses).copied().collect();
        // Agents that restart take nothing for a moment, and what is published stays.
        (!addresses.is_empty()).then(|| Self::Nodes(addresses.into_iter().collect()))
    }

    fn pools(snapshot: &'a Snapshot, classes: &Classes<'_>, ours: &[Own<'_>]) -> Option<Self> {
        let mut asking: Vec<_> = ours.iter().filter(|ours| ours.asks()).copied().collect();
        asking.sort_by(|a, b| a.entry.precedence.cmp(&b.entry.precedence));
        let shares = allocation::shares(snapshot, classes, &asking, snapshot.allocation)?;
        let mut shared: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut own: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut pending = BTreeSet::new();
        let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
        let ready: Vec<_> = nodes.filter(|node| node.member.ready).collect();
        for share in shares {
            let selector = &share.pool.value.nodes;
            if !ready.iter().any(|node| selector.matches(&node.labels)) {
                pending.extend(share.holders.values().flatten().cloned());
            }
            let mut of_classes: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
            for (address, owners) in share.holders {
                for owner in owners {
                    match owner {
                        Owner::Class(class) => of_classes.entry(class).or_default().push(address),
                        Owner::Ingress { .. } => _ = own.entry(owner).or_default().insert(address),
                    }
                }
            }
            for (class, addresses) in of_classes {
                let among = (&share.pool.value.namespaces, addresses);
                shared.entry(class).or_default().push(among);
            }
            pending.extend(share.pending.into_iter().map(|(owner, _)| owner));
        }
        Some(Self::Pools { shared, own, pending })
    }

    fn to(&self, ours: &Own<'_>) -> Option<Arc<[IpAddr]>> {
        let (shared, own, pending) = match self {
            Self::Nodes(addresses) => return Some(Arc::clone(addresses)),
            Self::Pools { shared, own, pending } => (shared, own, pending),
        };
        let namespace = &ours.entry.value.object.namespace;
        let owner = if ours.asks() {
            ours.owner()
        } else {
            Owner::Class(Arc::clone(ours.class))
        };
        if pending.contains(&owner) {
            return None;
        }
        let addresses: BTreeSet<_> = if ours.asks() {
            own.get(&owner).cloned().unwrap_or_default()
        } else {
            let pools = shared.get(ours.class).into_iter().flatten();
            let admitted = pools.filter(|(namespaces, _)| admits(namespaces, namespace));
            admitted.flat_map(|(_, addresses)| addresses).copied().collect()
        };
        Some(addresses.into_iter().collect())
    }
}

impl Own<'_> {
    fn asks(&self) -> bool {
        self.entry.value.annotations.own_vip
    }
}

//! At which addresses each Ingress is to be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::allocation::{self, Own};
use super::audience::admits;
use super::classes::{Classes, Controllers};
use super::{Entry, Snapshot};
use crate::digest::vippool::Owner;
use crate::digest::{Ingress, Selector};
use crate::model::MemberState;

/// An Ingress's namespace and name.
pub type IngressKey = (Arc<str>, Arc<str>);

/// What is due to an Ingress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Due {
    /// These addresses, in their order.
    Addresses(Arc<[IpAddr]>),
    /// These, and those of the rest that it has already.
    AtLeast(Arc<[IpAddr]>, Rest),
    /// Nothing: it is of another's class.
    NotOurs,
}

/// Which addresses stay where they are, and come nowhere else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rest {
    /// All: it is still to be given some in their place.
    All,
    /// These, which no node is ready to serve.
    Unserved(Arc<[IpAddr]>),
}

impl Rest {
    /// Whether an address is one of them.
    pub fn has(&self, address: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Unserved(addresses) => addresses.contains(&address),
        }
    }
}

impl Due {
    /// Whether addresses are due that were not before.
    pub fn adds_to(&self, before: Option<&Self>) -> bool {
        let of = |due: &Self| match due {
            Self::Addresses(addresses) | Self::AtLeast(addresses, _) => Arc::clone(addresses),
            Self::NotOurs => Arc::default(),
        };
        let before = before.map(of).unwrap_or_default();
        of(self).iter().any(|address| !before.contains(address))
    }
}

/// What is due to every Ingress: the addresses that VipPools give its class or itself or, where there is no pool,
/// those of the nodes. Nothing at all where the snapshot does not say enough.
///
/// A node gives its addresses back when it says that it drains, or leaves: one that is only silent may be cut off
/// from the API server, and serve.
pub fn addresses(snapshot: &Snapshot, controllers: Controllers) -> Option<BTreeMap<IngressKey, Due>> {
    if snapshot.restored {
        return None;
    }
    let classes = Classes::new(snapshot, controllers);
    let own = |entry| own(&classes, entry);
    let ours: Vec<_> = snapshot.ingresses.iter().filter_map(own).collect();
    let given = if snapshot.pools.is_empty() {
        Given::nodes(snapshot)?
    } else {
        Given::pools(snapshot, &classes, &ours)?
    };
    let due = |entry| own(entry).map_or(Due::NotOurs, |ours| given.to(&ours));
    let ingresses = snapshot.ingresses.iter();
    Some(ingresses.map(|entry| (key(&entry.value), due(entry))).collect())
}

fn own<'a>(classes: &'a Classes<'_>, entry: &'a Entry<Ingress>) -> Option<Own<'a>> {
    let (class, _) = classes.class_of(&entry.value)?;
    Some(Own { class, entry })
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
        /// Who is still to be given some.
        pending: BTreeSet<Owner>,
        /// Who has some that no node is ready to serve.
        unserved: BTreeMap<Owner, BTreeSet<IpAddr>>,
    },
}

impl<'a> Given<'a> {
    fn nodes(snapshot: &Snapshot) -> Option<Self> {
        let nodes = snapshot.nodes.as_ref()?.nodes.iter();
        let there = nodes.filter(|node| node.member.state != MemberState::Draining);
        let addresses: BTreeSet<_> = there.flat_map(|node| &node.member.addresses).copied().collect();
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
        let mut unserved: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
        let ready: Vec<_> = nodes.filter(|node| node.member.ready).collect();
        for share in shares {
            pending.extend(share.pending.into_iter().map(|(owner, _)| owner));
            let selector = &share.pool.value.nodes;
            if !ready.iter().any(|node| selector.matches(&node.labels)) {
                for (address, owners) in share.holders {
                    for owner in owners {
                        unserved.entry(owner).or_default().insert(address);
                    }
                }
                continue;
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
        }
        Some(Self::Pools {
            shared,
            own,
            pending,
            unserved,
        })
    }

    fn to(&self, ours: &Own<'_>) -> Due {
        let (shared, own, pending, unserved) = match self {
            Self::Nodes(addresses) => return Due::Addresses(Arc::clone(addresses)),
            Self::Pools {
                shared,
                own,
                pending,
                unserved,
            } => (shared, own, pending, unserved),
        };
        let namespace = &ours.entry.value.object.namespace;
        let owner = if ours.asks() {
            ours.owner()
        } else {
            Owner::Class(Arc::clone(ours.class))
        };
        let addresses: BTreeSet<_> = if ours.asks() {
            own.get(&owner).cloned().unwrap_or_default()
        } else {
            let pools = shared.get(ours.class).into_iter().flatten();
            let admitted = pools.filter(|(namespaces, _)| admits(namespaces, namespace));
            admitted.flat_map(|(_, addresses)| addresses).copied().collect()
        };
        let addresses = addresses.into_iter().collect();
        if pending.contains(&owner) {
            return Due::AtLeast(addresses, Rest::All);
        }
        match unserved.get(&owner) {
            Some(unserved) => Due::AtLeast(addresses, Rest::Unserved(unserved.iter().copied().collect())),
            None => Due::Addresses(addresses),
        }
    }
}

impl Own<'_> {
    fn asks(&self) -> bool {
        self.entry.value.annotations.own_vip
    }
}

#[cfg(test)]
mod tests;

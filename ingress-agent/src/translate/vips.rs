//! From VipPools to VIPs, who is served at each, and the nodes that serve them.
//!
//! Who has which address, [`allocation`](super::allocation) says; here are the listeners there and the members, and
//! what is said of who is served nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::allocation::{self, Own, Share};
use super::audience::{Audience, admits, namespace_unserved};
use super::classes::Classes;
use super::report::Findings;
use super::{Entry, Snapshot};
use crate::digest::vippool::Owner;
use crate::digest::{self, Cause, Fault, Nodes};
use crate::model::{self, Member, Opening, Protocol, Vip};

/// A VIP and what is behind it.
pub(super) struct Binding {
    pub(super) vip: Vip,
    pub(super) tls: bool,
    pub(super) audience: Audience,
}

/// All VIPs.
#[derive(Default)]
pub(super) struct Vips {
    /// By name.
    pub(super) pools: Vec<Arc<model::Pool>>,
    /// By VIP.
    pub(super) bindings: Vec<Binding>,
}

impl Vips {
    /// All our classes at every one of the openings, and no pool.
    pub(super) fn ordinary(openings: &[Opening], classes: &Classes<'_>) -> Self {
        let all = classes.ours.keys().cloned().collect();
        let audience = Audience::everyone(all);
        let binding = |opening: &Opening| Binding {
            vip: opening.vip,
            tls: opening.tls,
            audience: audience.clone(),
        };
        let mut bindings: Vec<_> = openings.iter().map(binding).collect();
        bindings.sort_by_key(|binding| binding.vip);
        Self {
            pools: Vec::new(),
            bindings,
        }
    }

    /// Whom no VIP serves: our classes, each alone, and the Ingresses that asked for an address of their own.
    pub(super) fn unserved(&self, classes: &Classes<'_>, own: &[Own<'_>]) -> Vec<Audience> {
        let audiences: BTreeSet<_> = self.bindings.iter().map(|binding| &binding.audience).collect();
        let of_classes = classes.ours.keys().filter(|class| {
            let mut shared = audiences.iter().filter(|audience| !audience.is_own());
            !shared.any(|audience| audience.classes.contains(*class))
        });
        let of_classes = of_classes.map(Audience::of);
        let everyone = audiences.iter().any(|audience| audience.is_everyone());
        let own = own.iter().filter(|_| !everyone).map(Audience::own);
        let own = own.filter(|audience| !audiences.contains(audience));
        of_classes.chain(own).collect()
    }
}

/// The VIPs that the pools' addresses make.
pub(super) fn assign(
    snapshot: &Snapshot,
    classes: &Classes<'_>,
    own: &[Own<'_>],
    findings: &mut Findings,
) -> Vips {
    let mut vips = Vips::default();
    let shares = allocation::shares(snapshot, classes, own, snapshot.allocation);
    let (Some(shares), Some(nodes)) = (shares, &snapshot.nodes) else {
        // Nobody is known who could serve; the reason is among the source's findings.
        for pool in &snapshot.pools {
            tell(pool, findings, pool.value.faults.iter().cloned());
        }
        return vips;
    };
    let by_owner: BTreeMap<_, _> = own.iter().map(|own| (own.owner(), own)).collect();
    for share in &shares {
        let faults = share.faults.iter().chain(&share.exhausted);
        tell(share.pool, findings, faults.cloned());
        let members = members(share.pool, nodes, findings);
        if !members.is_empty() && !share.holders.is_empty() {
            vips.add(share, &by_owner, members);
        }
    }
    vips.pools.sort_by(|a, b| a.name.cmp(&b.name));
    vips.bindings.sort_by_key(|binding| binding.vip);
    if !shares.is_empty() {
        vips.judge(&shares, classes, own, findings);
    }
    vips
}

impl Vips {
    fn add(&mut self, share: &Share<'_>, own: &BTreeMap<Owner, &Own<'_>>, members: Vec<Member>) {
        let pool = &share.pool.value;
        let mut vips = Vec::new();
        for (address, owners) in &share.holders {
            let Some(audience) = audience(owners, pool, own) else {
                continue;
            };
            for port in &pool.ports {
                let vip = Vip {
                    address: *address,
                    port: port.number,
                    protocol: Protocol::Tcp,
                };
                vips.push(vip);
                self.bindings.push(Binding {
                    vip,
                    tls: port.tls,
                    audience: audience.clone(),
                });
            }
        }
        vips.sort();
        self.pools.push(Arc::new(model::Pool {
            name: Arc::clone(&pool.object.name),
            vips,
            members,
        }));
    }

    /// Tells those who have no address, and those who wait for one.
    fn judge(&self, shares: &[Share<'_>], classes: &Classes<'_>, own: &[Own<'_>], findings: &mut Findings) {
        let mut pending: BTreeMap<&Owner, Vec<Fault>> = BTreeMap::new();
        for share in shares {
            for (owner, v4) in &share.pending {
                let fault = allocation::pending(&share.pool.value.object.name, owner, *v4);
                pending.entry(owner).or_default().push(fault);
            }
        }
        let unserved: BTreeSet<_> = self.unserved(classes, own).into_iter().collect();
        for (class, ours) in &classes.ours {
            let Some(entry) = ours.entry else { continue };
            let waits = pending
                .remove(&Owner::Class(Arc::clone(class)))
                .unwrap_or_default();
            if waits.is_empty() && unserved.contains(&Audience::of(class)) {
                tell(entry, findings, [no_pool()]);
            }
            tell(entry, findings, waits);
        }
        for one in own {
            let waits = pending.remove(&one.owner()).unwrap_or_default();
            if waits.is_empty() && unserved.contains(&Audience::own(one)) {
                let namespace = &one.entry.value.object.namespace;
                let mut serving = shares
                    .iter()
                    .filter(|share| share.classes.contains(one.class))
                    .peekable();
                let is_shut_out = serving.peek().is_some()
                    && !serving.any(|share| admits(&share.pool.value.namespaces, namespace));
                let fault = if is_shut_out {
                    namespace_unserved(one.class, namespace)
                } else {
                    no_own(one.class)
                };
                tell(one.entry, findings, [fault]);
            }
            tell(one.entry, findings, waits);
        }
    }
}

/// Who is served at an address.
fn audience(
    owners: &BTreeSet<Owner>,
    pool: &digest::Pool,
    own: &BTreeMap<Owner, &Own<'_>>,
) -> Option<Audience> {
    if let Some(owner @ Owner::Ingress { .. }) = owners.first() {
        return own.get(owner).map(|own| Audience::own(own));
    }
    let classes = owners.iter().filter_map(|owner| match owner {
        Owner::Class(class) => Some(Arc::clone(class)),
        Owner::Ingress { .. } => None,
    });
    Some(Audience::shared(classes.collect(), pool.namespaces.clone()))
}

fn members(pool: &Entry<digest::Pool>, nodes: &Nodes, findings: &mut Findings) -> Vec<Member> {
    let selected = nodes
        .nodes
        .iter()
        .filter(|node| pool.value.nodes.matches(&node.labels));
    let members: Vec<_> = selected.map(|node| node.member.clone()).collect();
    if members.is_empty() {
        let fault = Fault::refused(Cause::PoolNodes, "spec.nodeSelector")
            .found("a selector that no node's labels match")
            .expected("a selector that matches at least one node")
            .so("the pool is not served")
            .change("correct the selector, or label a node: by `kubectl label node` in a cluster, else in `nodes.yaml`");
        tell(pool, findings, [fault]);
    }
    members
}

fn no_pool() -> Fault {
    Fault::degraded(Cause::ClassUnserved, "metadata.name")
        .found("a class that no VipPool serves")
        .expected("a VipPool that names it, or one that names no classes")
        .so("its Ingresses have no address")
        .change("add the class to a VipPool's `spec.classes`")
}

fn no_own(class: &str) -> Fault {
    Fault::refused(Cause::VipOwn, "metadata.annotations[ingress-agent.dev/vip]")
        .found(format!(
            "`own`, and no VipPool of class `{class}` with an address for it"
        ))
        .expected("a VipPool of the class with a free address")
        .so("the Ingress has no address")
        .change("add addresses to the pool, or remove the annotation to be served at the class's")
}

fn tell<T: HasObject>(entry: &Entry<T>, findings: &mut Findings, faults: impl IntoIterator<Item = Fault>) {
    for fault in faults {
        findings.add(entry.value.object(), entry.place.as_ref(), fault);
    }
}

/// What findings about pools, classes and Ingresses have in common.
trait HasObject {
    fn object(&self) -> &model::ObjectRef;
}

impl HasObject for digest::Pool {
    fn object(&self) -> &model::ObjectRef {
        &self.object
    }
}

impl HasObject for digest::Class {
    fn object(&self) -> &model::ObjectRef {
        &self.object
    }
}

impl HasObject for digest::Ingress {
    fn object(&self) -> &model::ObjectRef {
        &self.object
    }
}

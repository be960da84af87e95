//! From VipPools to VIPs, who is served at each, and the nodes that serve them.
//!
//! A class gets, of every pool that serves it, the addresses that the pool's status gives it, else the
//! first free address of each family, classes by name. A pool that names no classes serves those that no
//! pool names. Where pools overlap the older one has the addresses; a node's own address is never a VIP.

mod blocked;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::audience::Audience;
use super::classes::Classes;
use super::report::Findings;
use super::{Entry, Snapshot};
use crate::digest::vippool::Range;
use crate::digest::{self, Cause, Fault, Nodes, Selector};
use crate::model::{self, Member, Opening, Protocol, Vip};

use blocked::Blocked;

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
        let audience = Audience::new(all, Selector::default());
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

    /// Our classes without any VIP, each alone.
    pub(super) fn unserved(&self, classes: &Classes<'_>) -> Vec<Audience> {
        let served = |class: &Arc<str>| {
            self.bindings
                .iter()
                .any(|binding| binding.audience.classes.contains(class))
        };
        let unserved = classes.ours.keys().filter(|class| !served(class));
        unserved.map(Audience::of).collect()
    }
}

/// Gives the pools' addresses to our classes.
pub(super) fn assign(snapshot: &Snapshot, classes: &Classes<'_>, findings: &mut Findings) -> Vips {
    let mut vips = Vips::default();
    let mut pools: Vec<_> = snapshot.pools.iter().collect();
    pools.sort_by(|a, b| a.precedence.cmp(&b.precedence));
    let Some(nodes) = &snapshot.nodes else {
        // Nobody is known who could serve; the reason is among the source's findings.
        for pool in pools {
            tell(pool, findings, pool.value.faults.iter().cloned());
        }
        return vips;
    };
    let named: BTreeSet<_> = pools.iter().flat_map(|pool| &pool.value.classes).collect();
    let mut blocked = Blocked::new(nodes);
    for pool in &pools {
        tell(pool, findings, pool.value.faults.iter().cloned());
        tell(pool, findings, blocked.faults(&pool.value));
        let served = serves(pool, classes, &named, findings);
        let owners = owners(pool, &served, &blocked, findings);
        blocked.add(&pool.value);
        let members = members(pool, nodes, findings);
        if !members.is_empty() && !owners.is_empty() {
            vips.add(pool, owners, members);
        }
    }
    vips.pools.sort_by(|a, b| a.name.cmp(&b.name));
    vips.bindings.sort_by_key(|binding| binding.vip);
    let unserved = vips.unserved(classes);
    for class in unserved
        .iter()
        .flat_map(|audience| &audience.classes)
        .filter(|_| !pools.is_empty())
    {
        let Some(entry) = classes.ours.get(class).and_then(|ours| ours.entry) else {
            continue;
        };
        tell(entry, findings, [no_pool()]);
    }
    vips
}

impl Vips {
    fn add(&mut self, pool: &Entry<digest::Pool>, owners: Owners, members: Vec<Member>) {
        let mut vips = Vec::new();
        for (address, classes) in owners {
            let audience = Audience::new(classes, pool.value.namespaces.clone());
            for port in &pool.value.ports {
                let vip = Vip {
                    address,
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
            name: Arc::clone(&pool.value.object.name),
            vips,
            members,
        }));
    }
}

/// The classes at each address.
type Owners = BTreeMap<IpAddr, BTreeSet<Arc<str>>>;

fn serves(
    pool: &Entry<digest::Pool>,
    classes: &Classes<'_>,
    named: &BTreeSet<&Arc<str>>,
    findings: &mut Findings,
) -> BTreeSet<Arc<str>> {
    let names = &pool.value.classes;
    if names.is_empty() {
        return classes
            .ours
            .keys()
            .filter(|class| !named.contains(class))
            .cloned()
            .collect();
    }
    for (index, name) in names
        .iter()
        .enumerate()
        .filter(|(_, name)| !classes.ours.contains_key(*name))
    {
        let existing = classes.ours.keys().map(|name| &**name);
        let fault = Fault::degraded(Cause::PoolClass, format!("spec.classes[{index}]"))
            .found(format!("`{name}`, which is no IngressClass of ours"))
            .expected(format!(
                "the name of an IngressClass with `controller: {}`",
                super::CONTROLLER
            ))
            .nearest(digest::nearest::nearest(name, existing))
            .so("the pool serves nothing for it")
            .change("correct the name, or create the IngressClass");
        tell(pool, findings, [fault]);
    }
    names
        .iter()
        .filter(|name| classes.ours.contains_key(*name))
        .cloned()
        .collect()
}

fn owners(
    pool: &Entry<digest::Pool>,
    classes: &BTreeSet<Arc<str>>,
    blocked: &Blocked,
    findings: &mut Findings,
) -> Owners {
    let mut owners = Owners::new();
    let mut assigned = BTreeSet::new();
    for (address, class) in pool
        .value
        .assignments
        .iter()
        .filter(|(_, class)| classes.contains(class))
    {
        let inside = pool.value.ranges.iter().any(|range| range.contains(*address));
        if inside && !blocked.ranges().any(|range| range.contains(*address)) {
            owners.entry(*address).or_default().insert(Arc::clone(class));
            assigned.insert(class);
        } else {
            tell(pool, findings, [not_ours(*address, class)]);
        }
    }
    for class in classes.iter().filter(|class| !assigned.contains(class)) {
        for v4 in [true, false] {
            let ranges: Vec<_> = pool
                .value
                .ranges
                .iter()
                .filter(|range| range.first.is_ipv4() == v4)
                .collect();
            if ranges.is_empty() {
                continue;
            }
            let taken: Vec<_> = owners.keys().map(|address| Range::single(*address)).collect();
            let taken: Vec<_> = blocked.ranges().copied().chain(taken).collect();
            match ranges.iter().find_map(|range| range.first_outside(&taken)) {
                Some(address) => {
                    owners.entry(address).or_default().insert(Arc::clone(class));
                }
                None => tell(pool, findings, [exhausted(class, v4)]),
            }
        }
    }
    owners
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
            .change("correct the selector, or label a node in `nodes.yaml`");
        tell(pool, findings, [fault]);
    }
    members
}

fn not_ours(address: IpAddr, class: &str) -> Fault {
    Fault::refused(Cause::AssignmentOutside, "status.assignments")
        .found(format!("{address} for class `{class}`"))
        .expected("an address of the pool that is no node's and no older pool's")
        .so("the class is given another address")
        .change("remove the assignment, or add the address to the pool")
}

fn exhausted(class: &str, v4: bool) -> Fault {
    let family = if v4 { "IPv4" } else { "IPv6" };
    Fault::degraded(Cause::PoolExhausted, "spec.addresses")
        .found(format!("no free {family} address for class `{class}`"))
        .expected("an address of each family for every class")
        .so(format!("the class has no {family} address of this pool"))
        .change("add addresses to the pool")
}

fn no_pool() -> Fault {
    Fault::degraded(Cause::ClassUnserved, "metadata.name")
        .found("a class that no VipPool serves")
        .expected("a VipPool that names it, or one that names no classes")
        .so("its Ingresses have no address")
        .change("add the class to a VipPool's `spec.classes`")
}

fn tell<T: HasObject>(entry: &Entry<T>, findings: &mut Findings, faults: impl IntoIterator<Item = Fault>) {
    for fault in faults {
        findings.add(entry.value.object(), entry.place.as_ref(), fault);
    }
}

/// What findings about a pool and about a class have in common.
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

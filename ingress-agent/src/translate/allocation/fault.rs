//! What is to be said of assignments.

use std::net::IpAddr;

use crate::digest::vippool::Owner;
use crate::digest::{Cause, Fault, nearest};
use crate::translate::CONTROLLER;

pub(super) fn class<'a>(index: usize, name: &str, existing: impl Iterator<Item = &'a str>) -> Fault {
    Fault::degraded(Cause::PoolClass, format!("spec.classes[{index}]"))
        .found(format!("`{name}`, which is no IngressClass of ours"))
        .expected(format!(
            "the name of an IngressClass with `controller: {CONTROLLER}`"
        ))
        .nearest(nearest::nearest(name, existing))
        .so("the pool serves nothing for it")
        .change("correct the name, or create the IngressClass")
}

pub(super) fn not_ours(address: IpAddr, owner: &Owner) -> Fault {
    let kind = kind(owner);
    Fault::refused(Cause::AssignmentOutside, "status.assignments")
        .found(format!("{address} for {owner}"))
        .expected("an address of the pool that is no node's and no older pool's")
        .so(format!("the {kind} is given another address"))
        .change("remove the assignment, or add the address to the pool")
}

pub(super) fn taken(address: IpAddr, owner: &Owner, holder: &Owner) -> Fault {
    let kind = kind(owner);
    Fault::refused(Cause::AssignmentTaken, "status.assignments")
        .found(format!("{address} for {owner}, which is {holder}'s"))
        .expected("an address of its own for every Ingress that is given one")
        .so(format!("the {kind} is given another address"))
        .change("remove one of the two assignments")
}

pub(super) fn exhausted(owner: &Owner, v4: bool) -> Fault {
    let (kind, family) = (kind(owner), family(v4));
    let expected = match owner {
        Owner::Class(_) => "an address of each family for every class",
        Owner::Ingress { .. } => "an address of each family for every Ingress that asks for its own",
    };
    Fault::degraded(Cause::PoolExhausted, "spec.addresses")
        .found(format!("no free {family} address for {owner}"))
        .expected(expected)
        .so(format!("the {kind} has no {family} address of this pool"))
        .change("add addresses to the pool")
}

/// Of a class or an Ingress that a pool has an address for.
pub(in crate::translate) fn pending(pool: &str, owner: &Owner, v4: bool) -> Fault {
    let (kind, family) = (kind(owner), family(v4));
    Fault::degraded(Cause::VipPending, "metadata.name")
        .found(format!("no {family} address of VipPool `{pool}` yet"))
        .expected("one: the agents' leader gives it")
        .so(format!("the {kind} is not served there until then"))
        .change("wait; if it stays so, see whether the agents have a leader and may write the pool's status")
}

fn kind(owner: &Owner) -> &'static str {
    match owner {
        Owner::Class(_) => "class",
        Owner::Ingress { .. } => "Ingress",
    }
}

fn family(v4: bool) -> &'static str {
    if v4 { "IPv4" } else { "IPv6" }
}

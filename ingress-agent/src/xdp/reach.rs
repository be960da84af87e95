//! How the kernel would send to each peer, as it says itself.
//!
//! In: the plan's peers, and the kernel's routes and neighbours. Out: for each peer a way by a listed interface, or why
//! there is none. What that means for the maps is [`super::node`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::neighbour::{self, NextHop};
use super::netlink::{Interface, Netlink, NetlinkError};
use super::node::{self, PeerProblem, Reach};
use super::plan::Plan;

/// The next hop towards each peer, by number.
pub type Hops = BTreeMap<u16, Result<NextHop, PeerProblem>>;

/// Asks for the way to each peer. A peer without one is a value, not a failure.
pub async fn hops(
    netlink: &Netlink,
    plan: &Plan,
    interfaces: &BTreeMap<u32, Interface>,
    listed: &[String],
) -> Hops {
    let mut hops = Hops::new();
    let Some(own) = plan.own.and_then(|own| plan.nodes.get(&own)) else {
        return hops;
    };
    for (number, peer) in plan.nodes.iter().filter(|(number, _)| plan.own != Some(**number)) {
        let hop = match node::outer(own, peer) {
            None => Err(PeerProblem::NoFamily),
            Some((_, address)) => match neighbour::next_hop(netlink, address).await {
                Err(error) => Err(PeerProblem::NoRoute {
                    address,
                    cause: error.to_string(),
                }),
                Ok(None) => Err(PeerProblem::Own(address)),
                Ok(Some(hop)) => on_listed(hop, address, interfaces, listed),
            },
        };
        hops.insert(*number, hop);
    }
    hops
}

fn on_listed(
    hop: NextHop,
    address: IpAddr,
    interfaces: &BTreeMap<u32, Interface>,
    listed: &[String],
) -> Result<NextHop, PeerProblem> {
    match interfaces.get(&hop.interface).map(|interface| &interface.name) {
        Some(name) if listed.contains(name) => Ok(hop),
        name => {
            let interface = name.map_or_else(|| format!("number {}", hop.interface), Clone::clone);
            Err(PeerProblem::Interface { address, interface })
        }
    }
}

/// Has the kernel keep the next hops resolved, and reads their MAC addresses as they are now.
pub async fn reach(
    netlink: &Netlink,
    hops: &Hops,
    interfaces: &BTreeMap<u32, Interface>,
) -> Result<BTreeMap<u16, Reach>, NetlinkError> {
    let wanted: BTreeSet<_> = hops
        .values()
        .flatten()
        .map(|hop| (hop.interface, hop.neighbour))
        .collect();
    let mut present = neighbour::list(netlink).await?;
    if neighbour::manage(netlink, &wanted, &present).await? {
        present = neighbour::list(netlink).await?;
    }
    let way = |hop: &NextHop| {
        let interface = interfaces.get(&hop.interface);
        let mtu = interface.map(|interface| interface.mtu).unwrap_or_default();
        Reach::Hop {
            interface: hop.interface,
            smac: interface.map(|interface| interface.mac).unwrap_or_default(),
            dmac: present
                .get(&(hop.interface, hop.neighbour))
                .and_then(|neighbour| neighbour.mac),
            mtu: hop.mtu.map_or(mtu, |own| own.min(mtu)),
        }
    };
    let reach = hops.iter().map(|(number, hop)| match hop {
        Ok(hop) => (*number, way(hop)),
        Err(problem) => (*number, Reach::Refused(problem.clone())),
    });
    Ok(reach.collect())
}

//! Where a call would come back to us: VIPs, and where agents listen (safety.md K8-6).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Snapshot;
use crate::model::{self, MemberState, NODE_PORTS, Opening};

/// What no endpoint may be.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Loops {
    /// On whatever port: what no VIP serves there is dropped.
    vips: BTreeSet<IpAddr>,
    /// Listeners at nodes' own addresses, where other ports are pods'.
    listeners: BTreeSet<SocketAddr>,
}

impl Loops {
    /// Of an agent with VIPs: these, and the listeners of the nodes that serve at their own addresses.
    pub(super) fn of_vips(pools: &[std::sync::Arc<model::Pool>], snapshot: &Snapshot) -> Self {
        let vips = pools.iter().flat_map(|pool| &pool.vips);
        Self {
            vips: vips.map(|vip| vip.address).collect(),
            listeners: others(snapshot, &NODE_PORTS.map(|(port, _)| port)).collect(),
        }
    }

    /// Of an agent that listens at `openings` of a machine with these addresses. The other nodes' agents are taken to
    /// listen on the same ports.
    pub(super) fn of_openings(openings: &[Opening], local: &BTreeSet<IpAddr>, snapshot: &Snapshot) -> Self {
        let ports: BTreeSet<u16> = openings.iter().map(|opening| opening.vip.port.get()).collect();
        let ports: Vec<_> = ports.into_iter().collect();
        let own = openings.iter().flat_map(|opening| {
            let bound = opening.vip.address;
            let every = local.iter().filter(move |_| bound.is_unspecified());
            let every = every.filter(move |address| address.is_ipv4() == bound.is_ipv4());
            let at = move |address| SocketAddr::new(address, opening.vip.port.get());
            every.copied().chain([bound]).map(at)
        });
        Self {
            vips: BTreeSet::new(),
            listeners: own.chain(others(snapshot, &ports)).collect(),
        }
    }

    /// What an endpoint is, if its calls would come back.
    pub(super) fn at(&self, endpoint: SocketAddr) -> Option<&'static str> {
        if self.vips.contains(&endpoint.ip()) {
            Some("a VIP")
        } else if self.listeners.contains(&endpoint) {
            Some("where a node's own agent listens")
        } else {
            None
        }
    }
}

/// The listeners of the nodes that serve, and serve no VIP.
fn others(snapshot: &Snapshot, ports: &[u16]) -> impl Iterator<Item = SocketAddr> {
    let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
    let listening = nodes
        .map(|node| &node.member)
        .filter(|member| !member.ready && member.state != MemberState::Draining);
    let addresses = listening.flat_map(|member| &member.addresses);
    addresses.flat_map(move |address| ports.iter().map(|port| SocketAddr::new(*address, *port)))
}

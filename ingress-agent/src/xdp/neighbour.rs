//! Next hops towards the peers, and their MAC addresses.
//!
//! The kernel says by which interface and gateway a peer is reached, and keeps the neighbour resolved for us
//! (`NTF_EXT_MANAGED`, Linux 5.16), also while nothing is sent. What is not resolved has no MAC address here, and the
//! programs drop and count packets for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::TryStreamExt;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteMessage, RouteMetric, RouteProtocol, RouteType, RouteVia,
};

use super::netlink::{Netlink, NetlinkError, family};
use super::route::{PROTOCOL, ip};

/// Where packets for a peer go next.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NextHop {
    /// By which interface.
    pub interface: u32,
    /// To which neighbour: a gateway, or the peer itself.
    pub neighbour: IpAddr,
    /// The route's own MTU, where it has one.
    pub mtu: Option<u32>,
}

/// A neighbour as the kernel has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Neighbour {
    /// Its MAC address, if it is known to be right or was and nothing contradicts.
    pub mac: Option<[u8; 6]>,
    /// Whether the kernel keeps it resolved.
    pub managed: bool,
    /// Whether we asked for that.
    pub ours: bool,
}

/// A neighbour's name: interface and address.
pub type NeighbourKey = (u32, IpAddr);

/// The next hop towards an address; `None` when it is an address of this node's own.
pub async fn next_hop(netlink: &Netlink, peer: IpAddr) -> Result<Option<NextHop>, NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = family(peer);
    request.header.destination_prefix_length = if peer.is_ipv4() { 32 } else { 128 };
    request.attributes.push(RouteAttribute::Destination(peer.into()));
    let routes: Vec<RouteMessage> = netlink
        .handle()
        .route()
        .get(request)
        .execute()
        .try_collect()
        .await
        .map_err(NetlinkError::new(format_args!("look up the route to {peer}")))?;
    Ok(routes.first().and_then(|route| read_hop(route, peer)))
}

fn read_hop(route: &RouteMessage, peer: IpAddr) -> Option<NextHop> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let mut hop = NextHop {
        interface: 0,
        neighbour: peer,
        mtu: None,
    };
    for attribute in &route.attributes {
        if let RouteAttribute::Oif(interface) = attribute {
            hop.interface = *interface;
        } else if let RouteAttribute::Gateway(gateway) = attribute {
            hop.neighbour = ip(gateway).unwrap_or(hop.neighbour);
        } else if let RouteAttribute::Via(RouteVia::Inet6(gateway)) = attribute {
            hop.neighbour = IpAddr::V6(*gateway);
        } else if let RouteAttribute::Metrics(metrics) = attribute {
            hop.mtu = metrics.iter().find_map(|metric| {
                if let RouteMetric::Mtu(mtu) = metric {
                    (*mtu != 0).then_some(*mtu)
                } else {
                    None
                }
            });
        }
    }
    Some(hop)
}

/// All neighbours.
pub async fn list(netlink: &Netlink) -> Result<BTreeMap<NeighbourKey, Neighbour>, NetlinkError> {
    let messages: Vec<NeighbourMessage> = netlink
        .handle()
        .neighbours()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(NetlinkError::new("list neighbours"))?;
    Ok(messages.iter().filter_map(read_neighbour).collect())
}

/// The neighbour that a message is about; `None` for one that is no IP neighbour.
pub fn key(message: &NeighbourMessage) -> Option<NeighbourKey> {
    let address = message.attributes.iter().find_map(|attribute| {
        if let NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) = attribute {
            Some(IpAddr::V4(*v4))
        } else if let NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) = attribute {
            Some(IpAddr::V6(*v6))
        } else {
            None
        }
    });
    Some((message.header.ifindex, address?))
}

fn read_neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    let mut neighbour = Neighbour {
        mac: None,
        managed: false,
        ours: false,
    };
    for attribute in &message.attributes {
        if let NeighbourAttribute::LinkLayerAddress(bytes) = attribute {
            neighbour.mac = bytes
                .as_slice()
                .try_into()
                .ok()
                .filter(|_| usable(message.header.state));
        } else if let NeighbourAttribute::ExtFlags(flags) = attribute {
            neighbour.managed = flags.contains(NeighbourExtFlags::Managed);
        } else if let NeighbourAttribute::Protocol(protocol) = attribute {
            neighbour.ours = *protocol == RouteProtocol::Other(PROTOCOL);
        }
    }
    key(message).map(|key| (key, neighbour))
}

/// Whether the kernel would send to a neighbour in this state (`NUD_VALID` of include/net/neighbour.h).
const fn usable(state: NeighbourState) -> bool {
    matches!(
        state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    )
}

/// Has the kernel keep exactly these neighbours resolved for us, besides those that others asked for.
pub async fn manage(
    netlink: &Netlink,
    wanted: &BTreeSet<NeighbourKey>,
    present: &BTreeMap<NeighbourKey, Neighbour>,
) -> Result<bool, NetlinkError> {
    let mut changed = false;
    for (interface, address) in wanted {
        if !present
            .get(&(*interface, *address))
            .is_some_and(|neighbour| neighbour.managed)
        {
            add(netlink, *interface, *address).await?;
            changed = true;
        }
    }
    for (key, _) in present
        .iter()
        .filter(|(key, neighbour)| neighbour.ours && !wanted.contains(key))
    {
        remove(netlink, *key).await?;
        changed = true;
    }
    Ok(changed)
}

async fn add(netlink: &Netlink, interface: u32, address: IpAddr) -> Result<(), NetlinkError> {
    let mut request = netlink
        .handle()
        .neighbours()
        .add(interface, address)
        .state(NeighbourState::None)
        .replace();
    request.message_mut().attributes.extend([
        NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed),
        NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)),
    ]);
    let what = format!("have the neighbour {address} on interface number {interface} kept resolved");
    request.execute().await.map_err(NetlinkError::new(what))
}

async fn remove(netlink: &Netlink, (interface, address): NeighbourKey) -> Result<(), NetlinkError> {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = interface;
    message
        .attributes
        .push(NeighbourAttribute::Destination(match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        }));
    let result = netlink.handle().neighbours().del(message).execute().await;
    match result.map_err(NetlinkError::new(format_args!("remove neighbour {address}"))) {
        // The neighbour or its interface is gone.
        Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ENODEV)) => Ok(()),
        other => other,
    }
}

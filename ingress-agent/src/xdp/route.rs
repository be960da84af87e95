//! The VIPs' local routes: `local VIP dev lo table local src NODE`, which let the kernel take packets for an address
//! that no interface has, and let the node's own calls to other addresses not come from it.
//!
//! Our routes carry a protocol number of our own, by which they are found again after a restart. They stay when the
//! agent ends: without them the kernel would forward packets for a VIP to wherever its routes point.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::netlink::{Netlink, NetlinkError, family};

/// `rtm_protocol` of what we add: a number that no program has in iproute2's `rt_protos`. Managed neighbours carry it
/// too.
pub const PROTOCOL: u8 = 116;

/// The loopback interface has number 1 in every network namespace.
const LOOPBACK: u32 = 1;

/// The VIPs that have a route of ours, with its source address.
pub async fn list(netlink: &Netlink) -> Result<BTreeMap<IpAddr, Option<IpAddr>>, NetlinkError> {
    let mut routes = BTreeMap::new();
    for example in [IpAddr::from([0u8; 4]), IpAddr::from([0u8; 16])] {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family(example);
        filter.header.table = libc::RT_TABLE_LOCAL;
        filter.header.protocol = RouteProtocol::Other(PROTOCOL);
        let answers = netlink.routes(filter, "list local routes").await?;
        // A kernel that does not filter lists every route.
        let ours = answers.iter().filter(|route| {
            route.header.protocol == RouteProtocol::Other(PROTOCOL)
                && route.header.table == libc::RT_TABLE_LOCAL
                && route.header.kind == RouteType::Local
        });
        routes.extend(ours.filter_map(destination_and_source));
    }
    Ok(routes)
}

/// Adds a VIP's route, in place of one with another source.
pub async fn add(netlink: &Netlink, vip: IpAddr, source: Option<IpAddr>) -> Result<(), NetlinkError> {
    netlink
        .handle()
        .route()
        .add(message(vip, source))
        .replace()
        .execute()
        .await
        .map_err(NetlinkError::new(format_args!(
            "add route local {vip} dev lo{}",
            from(source)
        )))
}

/// Removes a VIP's route. One that is gone already is fine.
pub async fn remove(netlink: &Netlink, vip: IpAddr) -> Result<(), NetlinkError> {
    let result = netlink.handle().route().del(message(vip, None)).execute().await;
    match result.map_err(NetlinkError::new(format_args!("remove route local {vip} dev lo"))) {
        Err(error) if error.errno() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

/// The source of a VIP's route: this node's address of its family, if it is on an interface.
pub fn source(vip: IpAddr, own: impl Iterator<Item = IpAddr>, present: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let mut own = own.filter(|own| own.is_ipv4() == vip.is_ipv4());
    own.find(|own| present.contains(own))
}

fn from(source: Option<IpAddr>) -> String {
    source.map(|source| format!(" src {source}")).unwrap_or_default()
}

fn message(vip: IpAddr, source: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(vip);
    message.header.destination_prefix_length = if vip.is_ipv4() { 32 } else { 128 };
    message.header.table = libc::RT_TABLE_LOCAL;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.scope = RouteScope::Host;
    message.header.kind = RouteType::Local;
    message.attributes.push(RouteAttribute::Destination(vip.into()));
    message.attributes.push(RouteAttribute::Oif(LOOPBACK));
    message
        .attributes
        .extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
    message
}

fn destination_and_source(route: &RouteMessage) -> Option<(IpAddr, Option<IpAddr>)> {
    let mut destination = None;
    let mut source = None;
    for attribute in &route.attributes {
        if let RouteAttribute::Destination(address) = attribute {
            destination = ip(address);
        } else if let RouteAttribute::PrefSource(address) = attribute {
            source = ip(address);
        }
    }
    destination.map(|destination| (destination, source))
}

/// An address in a route's attribute, if it is an IP address.
pub fn ip(address: &RouteAddress) -> Option<IpAddr> {
    if let RouteAddress::Inet(v4) = address {
        Some(IpAddr::V4(*v4))
    } else if let RouteAddress::Inet6(v6) = address {
        Some(IpAddr::V6(*v6))
    } else {
        None
    }
}

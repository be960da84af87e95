//! The routes themselves: `blackhole ADDRESS table N proto 116`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};

use super::Table;
use crate::xdp::netlink::{Netlink, NetlinkError, family};
use crate::xdp::route::{PROTOCOL, ip};

/// An announcement: an address's route of ours.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    /// Where it is.
    pub table: Table,
    /// What it announces.
    pub address: IpAddr,
}

/// The announcements in a table, or in all of them.
pub async fn list(netlink: &Netlink, table: Option<Table>) -> Result<BTreeSet<Route>, NetlinkError> {
    let mut routes = BTreeSet::new();
    for example in [IpAddr::from([0u8; 4]), IpAddr::from([0u8; 16])] {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family(example);
        filter.header.protocol = RouteProtocol::Other(PROTOCOL);
        filter.header.kind = RouteType::BlackHole;
        filter
            .attributes
            .extend(table.map(|table| RouteAttribute::Table(table.number())));
        match netlink.routes(filter, "list announcements").await {
            // A kernel that does not filter lists every route.
            Ok(answers) => routes.extend(answers.iter().filter_map(ours)),
            // A table is made with its first route.
            Err(error) if error.errno() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    routes.retain(|route| table.is_none_or(|table| route.table == table));
    Ok(routes)
}

/// Adds an announcement. `false`: the table has a route to the address already, and it is somebody else's.
pub(super) async fn add(netlink: &Netlink, route: Route) -> Result<bool, NetlinkError> {
    let result = netlink.handle().route().add(message(route)).execute().await;
    let what = format_args!("add route blackhole {} table {}", route.address, route.table);
    match result.map_err(NetlinkError::new(what)) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes an announcement. One that is gone already is fine.
pub async fn remove(netlink: &Netlink, route: Route) -> Result<(), NetlinkError> {
    let result = netlink.handle().route().del(message(route)).execute().await;
    let what = format_args!("remove route blackhole {} table {}", route.address, route.table);
    match result.map_err(NetlinkError::new(what)) {
        Err(error) if error.errno() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

const fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The kernel deletes by this only a route of the same protocol.
fn message(route: Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.address);
    message.header.destination_prefix_length = host_prefix(route.address);
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.kind = RouteType::BlackHole;
    message.attributes = vec![
        RouteAttribute::Destination(route.address.into()),
        RouteAttribute::Table(route.table.number()),
    ];
    message
}

fn ours(message: &RouteMessage) -> Option<Route> {
    let mut table = None;
    let mut address = None;
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(destination) = attribute {
            address = ip(destination);
        } else if let RouteAttribute::Table(number) = attribute {
            table = Table::try_from(*number).ok();
        }
    }
    let route = Route {
        table: table?,
        address: address?,
    };
    let is_ours = message.header.protocol == RouteProtocol::Other(PROTOCOL)
        && message.header.kind == RouteType::BlackHole
        && message.header.destination_prefix_length == host_prefix(route.address);
    is_ours.then_some(route)
}

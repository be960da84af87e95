//! The interfaces that lead to the rest of the world, for an agent that was told none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};

use super::netlink::{Interface, Netlink, NetlinkError, family};

/// The interfaces of the best default route of each family, by name.
pub(super) async fn names(netlink: &Netlink, present: &[Interface]) -> Result<Vec<String>, NetlinkError> {
    let mut numbers = BTreeSet::new();
    for example in [IpAddr::from([0u8; 4]), IpAddr::from([0u8; 16])] {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family(example);
        filter.header.table = libc::RT_TABLE_MAIN;
        let routes = netlink.routes(filter, "list routes").await?;
        numbers.extend(of_default(&routes));
    }
    let uplinks = present
        .iter()
        .filter(|interface| numbers.contains(&interface.index) && !interface.loopback);
    Ok(uplinks.map(|interface| interface.name.clone()).collect())
}

/// The interfaces' numbers of the default routes of the lowest metric, all of them where there are several.
fn of_default(routes: &[RouteMessage]) -> BTreeSet<u32> {
    let mut by_metric: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let default = routes.iter().filter(|route| {
        let header = &route.header;
        header.destination_prefix_length == 0
            && header.table == libc::RT_TABLE_MAIN
            && header.kind == RouteType::Unicast
    });
    for route in default {
        let mut metric = 0;
        let mut interfaces = BTreeSet::new();
        for attribute in &route.attributes {
            if let RouteAttribute::Priority(priority) = attribute {
                metric = *priority;
            } else if let RouteAttribute::Oif(number) = attribute {
                interfaces.insert(*number);
            } else if let RouteAttribute::MultiPath(hops) = attribute {
                interfaces.extend(hops.iter().map(|hop| hop.interface_index));
            }
        }
        by_metric.entry(metric).or_default().extend(interfaces);
    }
    by_metric.into_values().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteNextHop;

    use super::*;

    fn route(length: u8, attributes: &[RouteAttribute]) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.destination_prefix_length = length;
        route.header.table = libc::RT_TABLE_MAIN;
        route.header.kind = RouteType::Unicast;
        route.attributes = attributes.to_vec();
        route
    }

    #[test]
    fn the_default_route_of_the_lowest_metric_decides() {
        use RouteAttribute::{MultiPath, Oif, Priority};
        let hop = |number| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = number;
            hop
        };
        let wide = route(8, &[Oif(9)]);
        let mut unreachable = route(0, &[Oif(8)]);
        unreachable.header.kind = RouteType::Unreachable;
        let others = [wide, unreachable];
        assert!(of_default(&others).is_empty());
        for (routes, expected) in [
            (vec![route(0, &[Oif(2)])], &[2][..]),
            (
                vec![
                    route(0, &[Oif(2), Priority(200)]),
                    route(0, &[Oif(3), Priority(100)]),
                ],
                &[3],
            ),
            (
                vec![route(0, &[Oif(2), Priority(1)]), route(0, &[Oif(3), Priority(1)])],
                &[2, 3],
            ),
            (vec![route(0, &[MultiPath(vec![hop(4), hop(5)])])], &[4, 5]),
        ] {
            let routes = [&routes[..], &others].concat();
            let found: Vec<_> = of_default(&routes).into_iter().collect();
            assert_eq!(found, expected, "{routes:?}");
        }
    }
}

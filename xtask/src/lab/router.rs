//! The router: where the client's packets are spread over the nodes.
//!
//! Its next-hop groups are changed in place, both families, without a moment in which a VIP has no route.
//! The nodes hang on one bridge, so that what a node tunnels to another stays on the wire they share.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::link::{End, connect};
use super::{Namespace, node_addresses};

/// The router's machine.
#[derive(Debug)]
pub struct Router {
    namespace: Namespace,
    nodes: u8,
}

/// The router's addresses on the fabric.
pub(super) const ADDRESSES: [&str; 2] = ["10.1.0.254", "fd00:1::fe"];
/// The prefixes that VIPs are of.
const VIPS: [&str; 2] = ["192.0.2.0/24", "2001:db8:1::/64"];
/// Numbers of the next-hop groups, one per family; the nodes' own are `10 + N` and `20 + N`.
const GROUPS: [u8; 2] = [100, 200];

impl Router {
    /// Wires the router to the client and makes the nodes' fabric.
    pub(super) fn create(namespace: Namespace, client: &Namespace, nodes: u8) -> Result<Self> {
        connect(
            End {
                namespace: client,
                name: "eth0",
            },
            End {
                namespace: &namespace,
                name: "client",
            },
        )?;
        client.ip("address add 198.51.100.10/24 dev eth0\n\
             address add 2001:db8:c::10/64 dev eth0 nodad\n\
             route add default via 198.51.100.1\n\
             route add default via 2001:db8:c::1")?;
        let [own_v4, own_v6] = ADDRESSES;
        namespace.ip(&format!(
            "address add 198.51.100.1/24 dev client\n\
             address add 2001:db8:c::1/64 dev client nodad\n\
             link add fabric type bridge mcast_snooping 0\n\
             link set fabric up\n\
             address add {own_v4}/24 dev fabric\n\
             address add {own_v6}/64 dev fabric nodad"
        ))?;
        namespace.sysctl("net/ipv4/ip_forward", "1")?;
        namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        namespace.sysctl("net/ipv4/fib_multipath_hash_policy", "1")?;
        namespace.sysctl("net/ipv6/fib_multipath_hash_policy", "1")?;
        let [v4, v6] = GROUPS;
        for number in 1..=nodes {
            let [address_v4, address_v6] = node_addresses(number);
            namespace.ip(&format!(
                "nexthop add id {} via {address_v4} dev fabric\n\
                 nexthop add id {} via {address_v6} dev fabric",
                10 + number,
                20 + number
            ))?;
        }
        let router = Self { namespace, nodes };
        router.enter_anywhere()?;
        let [vips_v4, vips_v6] = VIPS;
        router.namespace.ip(&format!(
            "route add {vips_v4} nhid {v4}\n\
             route add {vips_v6} nhid {v6}"
        ))?;
        Ok(router)
    }

    /// Packets to the VIPs go nowhere from now on, but where a longer prefix leads.
    pub(super) fn enter_by_bgp(&self) -> Result<()> {
        for prefix in VIPS {
            self.namespace
                .ip(&format!("route del {prefix}\nroute add blackhole {prefix}"))?;
        }
        Ok(())
    }

    /// The next hops that BGP has brought for a VIP.
    pub fn next_hops(&self, vip: IpAddr) -> Result<BTreeSet<IpAddr>> {
        let (family, vip) = (if vip.is_ipv4() { "-4" } else { "-6" }, vip.to_string());
        let arguments = [
            family, "-json", "route", "show", "exact", &vip, "protocol", "bird",
        ];
        let text = self.namespace.output("ip", &arguments)?;
        let routes: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))?;
        let hops = routes.iter().flat_map(|route| {
            let several = route
                .get("nexthops")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            several
                .chain([route])
                .filter_map(|hop| hop.get("gateway")?.as_str())
        });
        hops.map(|hop| hop.parse().with_context(|| format!("a gateway of {text}")))
            .collect()
    }

    /// Pulls a node's cable out, or puts it in again.
    pub fn plug(&self, node: u8, is_in: bool) -> Result<()> {
        let state = if is_in { "up" } else { "down" };
        self.namespace.ip(&format!("link set node{node} {state}"))
    }

    /// The router's machine.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Packets to the VIPs enter at any node from now on, by a hash over addresses and ports.
    pub fn enter_anywhere(&self) -> Result<()> {
        let nodes: Vec<_> = (1..=self.nodes).collect();
        self.enter_at(&nodes)
    }

    /// Packets to the VIPs enter at any of these nodes from now on, and at no other.
    pub fn enter_at(&self, nodes: &[u8]) -> Result<()> {
        for (group, first) in GROUPS.into_iter().zip([10, 20]) {
            let members: Vec<_> = nodes.iter().map(|number| (first + number).to_string()).collect();
            self.namespace
                .ip(&format!("nexthop replace id {group} group {}", members.join("/")))?;
        }
        Ok(())
    }

    /// Plugs a link into the nodes' fabric.
    pub(super) fn join_fabric(&self, name: &str) -> Result<()> {
        self.namespace.ip(&format!("link set {name} master fabric"))
    }
}

//! The router: where the client's packets are spread over the nodes.
//!
//! Its next-hop groups are changed in place, both families, without a moment in which a VIP has no route.
//! The nodes hang on one bridge, so that what a node tunnels to another stays on the wire they share.

use anyhow::Result;

use super::link::{End, connect};
use super::{Namespace, node_addresses};

/// The router's machine.
#[derive(Debug)]
pub struct Router {
    namespace: Namespace,
    nodes: u8,
}

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
        namespace.ip("address add 198.51.100.1/24 dev client\n\
             address add 2001:db8:c::1/64 dev client nodad\n\
             link add fabric type bridge mcast_snooping 0\n\
             link set fabric up\n\
             address add 10.1.0.254/24 dev fabric\n\
             address add fd00:1::fe/64 dev fabric nodad")?;
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
        router.namespace.ip(&format!(
            "route add 192.0.2.0/24 nhid {v4}\n\
             route add 2001:db8:1::/64 nhid {v6}"
        ))?;
        Ok(router)
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

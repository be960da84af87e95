//! `NODES` and `PEERS` from what is known of the nodes: pure.
//!
//! In: the plan's nodes and how each is reached. Out: the maps' values, and the peers that cannot be reached, with why.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ingress_common::{Family, Ip, Node, NodeState, Peer, TUNNEL_OVERHEAD_MAX};

use super::plan::{Plan, PlanNode};

/// How a peer is reached, with what the kernel said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reach {
    /// By a listed interface.
    Hop {
        /// Its number.
        interface: u32,
        /// Its MAC address.
        smac: [u8; 6],
        /// The neighbour's MAC address, once it is resolved.
        dmac: Option<[u8; 6]>,
        /// MTU towards the peer.
        mtu: u32,
    },
    /// Not at all.
    Refused(PeerProblem),
}

/// Why a peer is not reached. Only what would go to that peer suffers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PeerProblem {
    /// There is no pair of addresses to tunnel between.
    #[error("it and this node have no address of one family; give both an IPv4 or both an IPv6 address")]
    NoFamily,
    /// The peer's address is ours.
    #[error("its address {0} is this node's own; correct its addresses")]
    Own(IpAddr),
    /// The kernel knows no way.
    #[error("no route to {address}: {cause}; add one by a listed interface")]
    NoRoute {
        /// The peer's address.
        address: IpAddr,
        /// The kernel's answer.
        cause: String,
    },
    /// The way leads by an interface that our programs are not on.
    #[error(
        "{address} is reached by interface {interface}, which --interface does not list; list it, or route by another"
    )]
    Interface {
        /// The peer's address.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
}

/// The outer addresses of a pair of nodes, this one's first: IPv4 where both have it, else IPv6.
pub fn outer(own: &PlanNode, peer: &PlanNode) -> Option<(IpAddr, IpAddr)> {
    peer.outer()
        .find_map(|address| Some((own.outer_like(address)?, address)))
}

/// The values of `NODES`, by number.
pub fn nodes(plan: &Plan, reach: &BTreeMap<u16, Reach>) -> BTreeMap<u16, Node> {
    let own = plan.own.and_then(|own| plan.nodes.get(&own));
    let value = |(number, node): (&u16, &PlanNode)| {
        let value = match reach.get(number) {
            None => Node {
                address: any(node),
                source: any(node),
                state: NodeState::Local as u8,
                ..Node::default()
            },
            Some(reach) => peer(own, node, reach),
        };
        (
            *number,
            Node {
                generation: plan.low_generation(),
                ..value
            },
        )
    };
    plan.nodes.iter().map(value).collect()
}

fn any(node: &PlanNode) -> Ip {
    node.outer().next().map(Ip::from).unwrap_or_default()
}

fn peer(own: Option<&PlanNode>, node: &PlanNode, reach: &Reach) -> Node {
    let down = Node {
        address: any(node),
        state: NodeState::Down as u8,
        ..Node::default()
    };
    let Reach::Hop {
        interface,
        smac,
        dmac,
        mtu,
    } = reach
    else {
        return down;
    };
    let Some((source, address)) = own.and_then(|own| outer(own, node)) else {
        return down;
    };
    Node {
        address: Ip::from(address),
        source: Ip::from(source),
        dmac: dmac.unwrap_or_default(),
        smac: *smac,
        ifindex: *interface,
        mtu: u16::try_from(*mtu).unwrap_or(u16::MAX),
        state: NodeState::Peer as u8,
        family: if address.is_ipv4() {
            Family::V4 as u8
        } else {
            Family::V6 as u8
        },
        header_sum: header_sum(source, address),
        ..Node::default()
    }
}

/// The sum of the outer IPv4 header's words that are the same in every packet (RFC 1071): version and length, no
/// identification, don't fragment, TTL 64, UDP, and both addresses. Zero for IPv6, whose header has no checksum.
fn header_sum(source: IpAddr, address: IpAddr) -> u16 {
    let (IpAddr::V4(source), IpAddr::V4(address)) = (source, address) else {
        return 0;
    };
    let fixed = [0x45, 0, 0, 0, 0x40, 0, 64, 17];
    let bytes = fixed.into_iter().chain(source.octets()).chain(address.octets());
    let bytes: Vec<u8> = bytes.collect();
    let (words, _) = bytes.as_chunks::<2>();
    let sum = words
        .iter()
        .fold(0u32, |sum, word| sum + u32::from(u16::from_ne_bytes(*word)));
    let folded = (sum & 0xffff) + (sum >> 16);
    let [low, high] = [folded & 0xffff, folded >> 16];
    u16::try_from(low + high).unwrap_or_default()
}

/// The values of `PEERS`: every outer address of every other node.
pub fn peers(plan: &Plan) -> BTreeMap<IpAddr, Peer> {
    let others = plan.nodes.iter().filter(|(number, _)| plan.own != Some(**number));
    others
        .flat_map(|(number, node)| {
            node.outer().map(|address| {
                (
                    address,
                    Peer {
                        node: *number,
                        reserved: 0,
                    },
                )
            })
        })
        .collect()
}

/// The largest TCP segment that fits the tunnel to every peer, by the family of the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mss {
    /// For IPv4 connections.
    pub v4: u16,
    /// For IPv6 connections.
    pub v6: u16,
}

/// The listeners' MSS; `None` when there is no peer to tunnel to. `fallback` is the MTU where none is known.
pub fn mss(nodes: &BTreeMap<u16, Node>, fallback: u32) -> Option<Mss> {
    let peers = nodes.values().filter(|node| node.state != NodeState::Local as u8);
    let lowest = peers
        .map(|node| {
            if node.mtu == 0 {
                fallback
            } else {
                u32::from(node.mtu)
            }
        })
        .min()?;
    let room = u16::try_from(lowest)
        .unwrap_or(u16::MAX)
        .saturating_sub(TUNNEL_OVERHEAD_MAX);
    Some(Mss {
        v4: room.saturating_sub(40),
        v6: room.saturating_sub(60),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn node(name: &str, v4: Option<&str>, v6: Option<&str>) -> PlanNode {
        PlanNode {
            name: Arc::from(name),
            v4: v4.map(|text| text.parse().unwrap()),
            v6: v6.map(|text| text.parse().unwrap()),
        }
    }

    fn plan() -> Plan {
        Plan {
            own: Some(1),
            nodes: BTreeMap::from([
                (1, node("a", Some("10.0.0.1"), Some("fd00::1"))),
                (2, node("b", Some("10.0.0.2"), Some("fd00::2"))),
                (3, node("c", None, Some("fd00::3"))),
            ]),
            generation: 77,
            ..Plan::default()
        }
    }

    fn hop(dmac: Option<[u8; 6]>) -> Reach {
        Reach::Hop {
            interface: 5,
            smac: [2; 6],
            dmac,
            mtu: 1500,
        }
    }

    #[test]
    fn ipv4_where_both_have_it_else_ipv6() {
        let reach = BTreeMap::from([(2, hop(Some([3; 6]))), (3, hop(None))]);
        let nodes = nodes(&plan(), &reach);
        assert_eq!(nodes[&1].state, NodeState::Local as u8);
        assert_eq!(
            IpAddr::from(nodes[&2].address),
            "10.0.0.2".parse::<IpAddr>().unwrap()
        );
        assert_eq!(
            IpAddr::from(nodes[&2].source),
            "10.0.0.1".parse::<IpAddr>().unwrap()
        );
        assert_eq!(
            (nodes[&2].family, nodes[&2].dmac, nodes[&2].mtu),
            (4, [3; 6], 1500)
        );
        assert_eq!(
            IpAddr::from(nodes[&3].source),
            "fd00::1".parse::<IpAddr>().unwrap()
        );
        assert_eq!(
            (nodes[&3].family, nodes[&3].dmac, nodes[&3].header_sum),
            (6, [0; 6], 0)
        );
        assert!(nodes.values().all(|node| node.generation == 77));
    }

    #[test]
    fn a_refused_peer_is_down_and_still_a_sender() {
        let reach = BTreeMap::from([(2, Reach::Refused(PeerProblem::NoFamily)), (3, hop(None))]);
        assert_eq!(nodes(&plan(), &reach)[&2].state, NodeState::Down as u8);
        let peers = peers(&plan());
        assert_eq!(peers.len(), 3);
        assert_eq!(peers[&"fd00::2".parse::<IpAddr>().unwrap()].node, 2);
    }

    /// A whole header, summed independently: its checksum and the given sum make all ones.
    #[test]
    fn the_header_sum_is_that_of_the_header() {
        let builder =
            etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2]);
        let mut header = builder.unwrap();
        header.dont_fragment = true;
        header.total_len = 0;
        let expected = !header.calc_header_checksum();
        let sum = header_sum("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!(u16::from_be_bytes(sum.to_ne_bytes()), expected);
    }

    #[test]
    fn the_lowest_mtu_decides_the_mss() {
        let reach = BTreeMap::from([
            (2, hop(None)),
            (
                3,
                Reach::Hop {
                    interface: 5,
                    smac: [0; 6],
                    dmac: None,
                    mtu: 1400,
                },
            ),
        ]);
        assert_eq!(
            mss(&nodes(&plan(), &reach), 1500),
            Some(Mss {
                v4: 1400 - 64 - 40,
                v6: 1400 - 64 - 60
            })
        );
        let alone = Plan {
            nodes: BTreeMap::from([(1, node("a", Some("10.0.0.1"), None))]),
            ..plan()
        };
        assert_eq!(mss(&nodes(&alone, &BTreeMap::new()), 1500), None);
    }
}

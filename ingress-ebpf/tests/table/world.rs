//! What the maps and the kernel's sockets hold while a case runs.
//!
//! The world that most cases start from: this node is number 1; node 2 is behind IPv4, node 3 behind IPv6,
//! node 4 behind IPv4. The pool's every slot names nodes 2, 3 and 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ingress_common::{
    Backend, BackendState, Be16, Be32, Family, Ip, Node, NodeState, PORT_TCP, PortPolicy, Settings, Slot,
    SlotKey, VipAddress, VipPort,
};

/// The interface that every case's frame comes in by: the one `BPF_PROG_TEST_RUN` takes, `lo`.
pub(crate) const IFINDEX: u32 = 1;
/// The pool of the VIPs below.
pub(crate) const POOL: u16 = 5;
/// A pool whose table names nobody.
pub(crate) const EMPTY_POOL: u16 = 6;
/// A pool without a table.
pub(crate) const NO_POOL: u16 = 7;
/// Node numbers.
pub(crate) const OWN: u16 = 1;
pub(crate) const TUNNEL_PORT: u16 = 6080;
pub(crate) const GENERATION: u16 = 0x1234;
pub(crate) const KEY: u32 = 0xfeed_beef;
pub(crate) const OLD_KEY: u32 = 0x0101_0202;

pub(crate) const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const PEER_2: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const PEER_3: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);
pub(crate) const PEER_4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10));
/// An address whose unserved ports are passed.
pub(crate) const LENIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 11));
const CLIENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc11e, 0, 0, 0, 0, 7));

/// VIP numbers.
pub(crate) const VIP_443: u16 = 2;
pub(crate) const VIP_443_V6: u16 = 3;

/// The VIP `address:443` of a family.
pub(crate) const fn vip(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::new(VIP_V4, 443),
        Family::V6 => SocketAddr::new(VIP_V6, 443),
    }
}

/// A client of a family.
pub(crate) const fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => SocketAddr::new(CLIENT_V4, 40_001),
        Family::V6 => SocketAddr::new(CLIENT_V6, 40_001),
    }
}

/// The agent's last sign of life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Agent {
    /// Just now.
    Fresh,
    /// A second ago.
    Hung,
    /// It takes no new connections.
    Draining,
}

/// What the kernel's socket table says of the case's connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sockets {
    None,
    Connection,
    Listener,
    /// The listener sent the SYN cookie that is acknowledged.
    Cookie,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) addresses: Vec<(Ip, VipAddress)>,
    /// Every slot of [`POOL`].
    pub(crate) slot: Slot,
    /// The backends of every VIP, by node number.
    pub(crate) backends: Vec<Backend>,
    /// By number.
    pub(crate) nodes: Vec<Node>,
    pub(crate) peers: Vec<Ip>,
    pub(crate) agent: Agent,
    pub(crate) sockets: Sockets,
}

impl World {
    pub(crate) fn new() -> Self {
        let active = |node| Backend {
            node,
            state: BackendState::Active as u8,
            reserved: 0,
        };
        Self {
            settings: Settings {
                slot_key: SlotKey { k0: 0, k1: 0 },
                outer_v4: Ip::from(IpAddr::V4(OWN_V4)),
                outer_v6: Ip::from(IpAddr::V6(OWN_V6)),
                tunnel_keys: [Be32::new(KEY), Be32::new(OLD_KEY)],
                node: OWN,
                tunnel_port: Be16::new(TUNNEL_PORT),
                generation: GENERATION,
                reserved: 0,
            },
            addresses: vec![
                address(
                    VIP_V4,
                    PortPolicy::Drop,
                    &[
                        (80, 1, POOL),
                        (443, VIP_443, POOL),
                        (81, 4, EMPTY_POOL),
                        (82, 5, NO_POOL),
                    ],
                ),
                address(VIP_V6, PortPolicy::Drop, &[(443, VIP_443_V6, POOL)]),
                address(LENIENT, PortPolicy::Pass, &[(443, VIP_443, POOL)]),
            ],
            slot: Slot {
                owner: 2,
                next1: 3,
                next2: 4,
            },
            backends: [Backend::default()]
                .into_iter()
                .chain((1..5).map(active))
                .collect(),
            nodes: vec![
                Node::default(),
                Node {
                    state: NodeState::Local as u8,
                    ..Node::default()
                },
                node(2, IpAddr::V4(OWN_V4), IpAddr::V4(PEER_2)),
                node(3, IpAddr::V6(OWN_V6), IpAddr::V6(PEER_3)),
                node(4, IpAddr::V4(OWN_V4), IpAddr::V4(PEER_4)),
            ],
            peers: [IpAddr::V4(PEER_2), IpAddr::V6(PEER_3), IpAddr::V4(PEER_4)]
                .map(Ip::from)
                .to_vec(),
            agent: Agent::Fresh,
            sockets: Sockets::None,
        }
    }

    pub(crate) fn slot(owner: u16, next1: u16, next2: u16) -> Self {
        Self {
            slot: Slot { owner, next1, next2 },
            ..Self::new()
        }
    }

    pub(crate) fn sockets(self, sockets: Sockets) -> Self {
        Self { sockets, ..self }
    }

    pub(crate) fn agent(self, agent: Agent) -> Self {
        Self { agent, ..self }
    }

    /// With node `number` changed.
    pub(crate) fn node(mut self, number: u16, change: impl FnOnce(&mut Node)) -> Self {
        change(&mut self.nodes[usize::from(number)]);
        self
    }

    /// With node `number` in a state for every VIP.
    pub(crate) fn backend(mut self, number: u16, state: BackendState) -> Self {
        self.backends[usize::from(number)].state = state as u8;
        self
    }
}

fn address(address: IpAddr, policy: PortPolicy, served: &[(u16, u16, u16)]) -> (Ip, VipAddress) {
    let mut value = VipAddress {
        policy: policy as u8,
        ..VipAddress::default()
    };
    for (entry, &(port, vip, pool)) in value.ports.iter_mut().zip(served) {
        *entry = VipPort {
            port: Be16::new(port),
            proto: PORT_TCP,
            flags: 0,
            vip,
            pool,
        };
        value.count += 1;
    }
    (Ip::from(address), value)
}

fn node(number: u8, source: IpAddr, address: IpAddr) -> Node {
    Node {
        address: Ip::from(address),
        source: Ip::from(source),
        dmac: dmac(number.into()),
        smac: SMAC,
        ifindex: IFINDEX,
        mtu: 1500,
        generation: GENERATION,
        state: NodeState::Peer as u8,
        family: if address.is_ipv4() { Family::V4 } else { Family::V6 } as u8,
        header_sum: header_sum(source, address),
        reserved: [0; 8],
    }
}

/// This node's MAC address.
pub(crate) const SMAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The MAC address of the next hop towards a node.
pub(crate) fn dmac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [2, 0, 0, 0xaa, high, low]
}

/// `Node::header_sum`, word by word as RFC 1071 adds them.
fn header_sum(source: IpAddr, address: IpAddr) -> u16 {
    let (IpAddr::V4(source), IpAddr::V4(address)) = (source, address) else {
        return 0;
    };
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    header.extend(source.octets());
    header.extend(address.octets());
    let sum: u32 = header
        .chunks(2)
        .map(|word| u32::from(u16::from_ne_bytes([word[0], word[1]])))
        .sum();
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

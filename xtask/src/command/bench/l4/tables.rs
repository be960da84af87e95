//! The maps' contents: three nodes, one pool for each end of a packet, full slot tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, ArrayOfMaps, HashMap, MapData, SockMap},
};
use ingress_common::{
    Backend, BackendState, Be16, Be32, Family, Heartbeat, Ip, LISTENER_V4, MAX_BACKENDS, Node, NodeState,
    PORT_TCP, Peer, SLOTS, Settings, Slot, SlotKey, SlotTable, TUNNEL_PORT, TUNNEL_VERSION, TunnelData,
    VipAddress, VipPort,
};

use super::{frame::Frame, sockets::Sockets};

pub(super) const VIP_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(super) const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x10);
/// An address that is no VIP.
pub(super) const STRANGER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
pub(super) const CLIENT_V4: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 40_000);
pub(super) const CLIENT_V6: SocketAddrV6 =
    SocketAddrV6::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 7), 40_000, 0, 0);
/// The port whose flows all belong to the other nodes.
pub(super) const FORWARDED_PORT: u16 = 80;
/// The port whose flows all belong to this node.
pub(super) const KEPT_PORT: u16 = 443;

/// This node's number; the others are 2 and 3.
const OWN: u16 = 1;
const OTHERS: [u16; 2] = [2, 3];
const KEY: Be32 = Be32::new(0x5eed_f00d);
const GENERATION: u16 = 0x1234;
/// The namespace's loopback interface: what a test run's packets come in by.
const IFINDEX: u32 = 1;
/// Pools and VIPs of the two ports. The VIPs of IPv6 are numbered behind those of IPv4.
const POOLS: [(u16, u16); 2] = [(FORWARDED_PORT, 0), (KEPT_PORT, 1)];

const fn address(node: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, node.to_be_bytes()[1])
}

/// A node as `NODES` has it: reached by way of a router.
fn node(number: u16) -> Node {
    let (source, destination) = (address(OWN), address(number));
    Node {
        address: IpAddr::V4(destination).into(),
        source: IpAddr::V4(source).into(),
        dmac: [2, 0, 0, 0, 1, number.to_be_bytes()[1]],
        smac: [2, 0, 0, 0, 0, 2],
        ifindex: IFINDEX,
        mtu: 1500,
        generation: GENERATION,
        state: if number == OWN {
            NodeState::Local
        } else {
            NodeState::Peer
        } as u8,
        family: Family::V4 as u8,
        header_sum: header_sum(source, destination),
        reserved: [0; 8],
    }
}

/// The sum of an outer IPv4 header's words but its length and checksum: version and header length, DF,
/// TTL 64 and UDP, and the addresses.
fn header_sum(source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
    let words = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d]))
    };
    let mut sum = 0x4500 + 0x4000 + 0x4011 + words(source) + words(destination);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = sum.to_be_bytes();
    u16::from_ne_bytes([high, low])
}

/// What the tunnel's header says when `first` is asked, and then these.
fn tunnel_data([next1, next2]: [u16; 2]) -> TunnelData {
    TunnelData {
        version: TUNNEL_VERSION,
        hops_left: u8::from(next1 != 0) + u8::from(next2 != 0),
        generation: Be16::new(GENERATION),
        next1: Be16::new(next1),
        next2: Be16::new(next2),
        key: KEY,
    }
}

/// The packet of `frame` as node 2 sends it to this node.
pub(super) fn tunnelled(frame: &Frame) -> Frame {
    let [sender, other] = OTHERS;
    let mut own = node(OWN);
    own.source = IpAddr::V4(address(sender)).into();
    own.dmac = [2, 0, 0, 0, 0, 2];
    own.smac = [2, 0, 0, 0, 0, 1];
    frame
        .after_a_hop()
        .tunnelled(&own, 0xc123, TUNNEL_PORT, tunnel_data([sender, other]))
}

/// The frames that may leave for `frame`: to either other node, with the outer source port of `output`.
pub(super) fn forwarded(frame: &Frame, output: &Frame) -> [Frame; 2] {
    let [a, b] = OTHERS;
    [(a, b), (b, a)].map(|(owner, next)| {
        let data = tunnel_data([next, OWN]);
        frame
            .after_a_hop()
            .tunnelled(&node(owner), output.outer_source_port(), TUNNEL_PORT, data)
    })
}

/// Slots whose owners are the other nodes in no order, or all of whose owners are this node.
fn slots(pool: u16) -> Vec<Slot> {
    let [a, b] = OTHERS;
    let slot = |index: u64| match (pool, index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63) {
        (0, 0) => Slot {
            owner: a,
            next1: b,
            next2: OWN,
        },
        (0, _) => Slot {
            owner: b,
            next1: a,
            next2: OWN,
        },
        _ => Slot {
            owner: OWN,
            next1: a,
            next2: b,
        },
    };
    (0..SLOTS as u64).map(slot).collect()
}

/// Fills every map that the cases need.
pub(super) fn fill(ebpf: &mut Ebpf, sockets: &Sockets) -> Result<()> {
    let settings = Settings {
        slot_key: SlotKey {
            k0: 0x0706_0504_0302_0100,
            k1: 0x0f0e_0d0c_0b0a_0908,
        },
        outer_v4: IpAddr::V4(address(OWN)).into(),
        outer_v6: Ip::default(),
        tunnel_keys: [KEY, KEY],
        node: OWN,
        tunnel_port: Be16::new(TUNNEL_PORT),
        generation: GENERATION,
        reserved: 0,
    };
    let mut config: Array<_, Settings> = Array::try_from(map(ebpf, "CONFIG")?)?;
    config.set(0, settings, 0).context("CONFIG")?;
    let mut heartbeat: Array<_, Heartbeat> = Array::try_from(map(ebpf, "HEARTBEAT")?)?;
    heartbeat
        .set(0, Heartbeat { monotonic_ns: 0 }, 0)
        .context("HEARTBEAT")?;

    let mut nodes: Array<_, Node> = Array::try_from(map(ebpf, "NODES")?)?;
    for number in [OWN].into_iter().chain(OTHERS) {
        nodes.set(number.into(), node(number), 0).context("NODES")?;
    }
    let mut peers: HashMap<_, Ip, Peer> = HashMap::try_from(map(ebpf, "PEERS")?)?;
    for number in OTHERS {
        let peer = Peer {
            node: number,
            reserved: 0,
        };
        peers
            .insert(Ip::from(IpAddr::V4(address(number))), peer, 0)
            .context("PEERS")?;
    }

    fill_pools(ebpf)?;
    fill_vips(ebpf)?;

    let mut listeners: SockMap<_> = SockMap::try_from(map(ebpf, "LISTENERS")?)?;
    listeners
        .set(LISTENER_V4, &sockets.listener, 0)
        .context("LISTENERS")
}

fn fill_pools(ebpf: &mut Ebpf) -> Result<()> {
    let mut pools: ArrayOfMaps<_, Array<MapData, SlotTable>> = ArrayOfMaps::try_from(map(ebpf, "SLOTS")?)?;
    for (_, pool) in POOLS {
        let slots = slots(pool);
        let mut inner: Array<MapData, SlotTable> = Array::create(1, 0).context("a map inside SLOTS")?;
        inner
            .set(
                0,
                bytemuck::from_bytes::<SlotTable>(bytemuck::cast_slice(&slots)),
                0,
            )
            .context("a slot table")?;
        pools.set(pool.into(), &inner, 0).context("SLOTS")?;
    }
    Ok(())
}

fn fill_vips(ebpf: &mut Ebpf) -> Result<()> {
    let mut number = 0;
    for address in [IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)] {
        let mut value = VipAddress::default();
        for ((port, pool), entry) in POOLS.into_iter().zip(&mut value.ports) {
            number += 1;
            *entry = VipPort {
                port: Be16::new(port),
                proto: PORT_TCP,
                flags: 0,
                vip: number,
                pool,
            };
            value.count += 1;

            let mut backends: Array<MapData, Backend> =
                Array::create(MAX_BACKENDS, 0).context("a map inside BACKENDS")?;
            for node in [OWN].into_iter().chain(OTHERS) {
                let backend = Backend {
                    node,
                    state: BackendState::Active as u8,
                    reserved: 0,
                };
                backends.set(node.into(), backend, 0).context("a backend map")?;
            }
            let mut vips: ArrayOfMaps<_, Array<MapData, Backend>> =
                ArrayOfMaps::try_from(map(ebpf, "BACKENDS")?)?;
            vips.set(number.into(), &backends, 0).context("BACKENDS")?;
        }
        let mut addresses: HashMap<_, Ip, VipAddress> = HashMap::try_from(map(ebpf, "VIP_ADDRS")?)?;
        addresses
            .insert(Ip::from(address), value, 0)
            .context("VIP_ADDRS")?;
    }
    Ok(())
}

fn map<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut aya::maps::Map> {
    ebpf.map_mut(name)
        .with_context(|| format!("the object has no map {name}"))
}

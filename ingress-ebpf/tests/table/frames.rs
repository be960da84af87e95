//! Frames, by another hand than the library's.

use std::hash::{DefaultHasher, Hasher as _};
use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader};
use ingress_common::Family;

use super::world::{GENERATION, KEY, OWN_V4, OWN_V6, SMAC, TUNNEL_PORT, client, dmac, vip};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// The Ethernet addresses that frames come in with.
pub(crate) const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

/// A TCP segment in its IP packet.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) flags: u8,
    pub(crate) ttl: u8,
    pub(crate) traffic_class: u8,
    pub(crate) payload: usize,
}

impl Segment {
    /// From the client to the VIP.
    pub(crate) fn new(family: Family, flags: u8) -> Self {
        Self {
            from: client(family),
            to: vip(family),
            flags,
            ttl: 64,
            traffic_class: 0,
            payload: 0,
        }
    }

    pub(crate) fn family(&self) -> Family {
        if self.from.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }

    /// The IP packet.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let payload: Vec<u8> = (0..self.payload)
            .map(|index| (index % 251).try_into().unwrap())
            .collect();
        let mut tcp = TcpHeader::new(self.from.port(), self.to.port(), 0x0102_0304, 1024);
        tcp.fin = self.flags & FIN != 0;
        tcp.syn = self.flags & SYN != 0;
        tcp.rst = self.flags & RST != 0;
        tcp.ack = self.flags & ACK != 0;
        tcp.acknowledgment_number = 0x0506_0708;
        let length = 20 + self.payload;
        let (ip, checksum) = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let ip = ipv4(from, to, self.ttl, self.traffic_class, IpNumber::TCP, length);
                let checksum = tcp.calc_checksum_ipv4_raw(from.octets(), to.octets(), &payload);
                (ip.to_bytes().to_vec(), checksum)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ip = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(0x54321).unwrap(),
                    payload_length: u16::try_from(length).unwrap(),
                    next_header: IpNumber::TCP,
                    hop_limit: self.ttl,
                    source: from.octets(),
                    destination: to.octets(),
                };
                let checksum = tcp.calc_checksum_ipv6_raw(from.octets(), to.octets(), &payload);
                (ip.to_bytes().to_vec(), checksum)
            }
            _ => panic!("both ends are of one family"),
        };
        tcp.checksum = checksum.unwrap();
        [ip, tcp.to_bytes().to_vec(), payload].concat()
    }

    /// The packet in an Ethernet frame without tags.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(&[], &self.packet())
    }

    /// The same, one hop further.
    pub(crate) fn hop(&self) -> Self {
        Self {
            ttl: self.ttl - 1,
            ..self.clone()
        }
    }
}

fn ipv4(
    from: std::net::Ipv4Addr,
    to: std::net::Ipv4Addr,
    ttl: u8,
    traffic_class: u8,
    protocol: IpNumber,
    length: usize,
) -> Ipv4Header {
    let length = u16::try_from(length).unwrap();
    let mut ip = Ipv4Header::new(length, ttl, protocol, from.octets(), to.octets()).unwrap();
    ip.dscp = (traffic_class >> 2).try_into().unwrap();
    ip.ecn = (traffic_class & 3).try_into().unwrap();
    ip.header_checksum = ip.calc_header_checksum();
    ip
}

/// A frame as the router sends it, with VLAN tags of these type numbers.
pub(crate) fn ethernet(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    link(SMAC, ROUTER, tags, ip)
}

/// A frame as this node sends it on to another.
pub(crate) fn onward(tags: &[u16], node: u16, ip: &[u8]) -> Vec<u8> {
    link(dmac(node), SMAC, tags, ip)
}

fn link(to: [u8; 6], from: [u8; 6], tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut frame = [to, from].concat();
    for (index, tag) in tags.iter().enumerate() {
        frame.extend(tag.to_be_bytes());
        frame.extend([0x20, 100 + u8::try_from(index).unwrap()]);
    }
    frame.extend(if ip.first().is_some_and(|byte| byte >> 4 == 6) {
        [0x86, 0xdd]
    } else {
        [0x08, 0x00]
    });
    frame.extend(ip);
    frame
}

/// The tunnel's headers around an inner packet.
#[derive(Clone, Debug)]
pub(crate) struct Outer {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ports: (u16, u16),
    pub(crate) traffic_class: u8,
    pub(crate) gue: Gue,
}

/// The GUE header with its private data, byte by byte.
#[derive(Clone, Debug)]
pub(crate) struct Gue {
    pub(crate) form: u8,
    pub(crate) proto: u8,
    pub(crate) flags: u16,
    pub(crate) version: u8,
    pub(crate) hops_left: u8,
    pub(crate) generation: u16,
    pub(crate) next: [u16; 2],
    pub(crate) key: u32,
}

impl Outer {
    /// From a peer to this node.
    pub(crate) fn to_us(source: IpAddr, inner: Family, hops_left: u8, next: [u16; 2]) -> Self {
        let destination = if source.is_ipv4() {
            IpAddr::V4(OWN_V4)
        } else {
            IpAddr::V6(OWN_V6)
        };
        let gue = Gue::new(inner, hops_left, next);
        Self {
            source,
            destination,
            ports: (0xc123, TUNNEL_PORT),
            traffic_class: 0,
            gue,
        }
    }

    /// From this node to a peer.
    pub(crate) fn from_us(
        destination: IpAddr,
        port: u16,
        inner: Family,
        hops_left: u8,
        next: [u16; 2],
    ) -> Self {
        let source = if destination.is_ipv4() {
            IpAddr::V4(OWN_V4)
        } else {
            IpAddr::V6(OWN_V6)
        };
        let gue = Gue::new(inner, hops_left, next);
        Self {
            source,
            destination,
            ports: (port, TUNNEL_PORT),
            traffic_class: 0,
            gue,
        }
    }

    /// The IP packet around `inner`.
    pub(crate) fn around(&self, inner: &[u8]) -> Vec<u8> {
        let payload = [&self.gue.bytes()[..], inner].concat();
        let (source, destination) = self.ports;
        let length = 8 + payload.len();
        let (ip, udp) = match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let ip = ipv4(from, to, 64, self.traffic_class, IpNumber::UDP, length);
                let udp = UdpHeader::without_ipv4_checksum(source, destination, payload.len()).unwrap();
                (ip.to_bytes().to_vec(), udp)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let ip = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(source.into()).unwrap(),
                    payload_length: u16::try_from(length).unwrap(),
                    next_header: IpNumber::UDP,
                    hop_limit: 64,
                    source: from.octets(),
                    destination: to.octets(),
                };
                let udp = UdpHeader::with_ipv6_checksum(source, destination, &ip, &payload).unwrap();
                (ip.to_bytes().to_vec(), udp)
            }
            _ => panic!("both ends are of one family"),
        };
        [ip, udp.to_bytes().to_vec(), payload].concat()
    }
}

impl Gue {
    pub(crate) fn new(inner: Family, hops_left: u8, next: [u16; 2]) -> Self {
        let proto = match inner {
            Family::V4 => 4,
            Family::V6 => 41,
        };
        Self {
            form: 3,
            proto,
            flags: 0,
            version: 1,
            hops_left,
            generation: GENERATION,
            next,
            key: KEY,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let [next1, next2] = self.next.map(u16::to_be_bytes);
        [
            &[self.form, self.proto][..],
            &self.flags.to_be_bytes(),
            &[self.version, self.hops_left],
            &self.generation.to_be_bytes(),
            &next1,
            &next2,
            &self.key.to_be_bytes(),
        ]
        .concat()
    }
}

/// The outer source port of a flow that enters at this node: `DefaultHasher` is SipHash-1-3 with a key of
/// zeros, the world's.
pub(crate) fn outer_port(from: SocketAddr) -> u16 {
    let mut hasher = DefaultHasher::new();
    match from.ip() {
        IpAddr::V4(address) => hasher.write(&[&address.octets()[..], &from.port().to_be_bytes()].concat()),
        IpAddr::V6(address) => hasher.write(&[&address.octets()[..], &from.port().to_be_bytes()].concat()),
    }
    0xc000 | (hasher.finish() & 0x3fff) as u16
}

/// `bytes` with `value` at `offset`.
pub(crate) fn poke(bytes: &[u8], offset: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[offset..offset + value.len()].copy_from_slice(value);
    bytes
}

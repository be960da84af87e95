//! Frames, built by hand: what goes in, and what must come out.

#![expect(
    clippy::indexing_slicing,
    reason = "headers at fixed places in frames that are made here"
)]
#![expect(clippy::expect_used, reason = "lengths of the bench's own small frames")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use ingress_common::{Be16, Family, GUE_LEN, GueHeader, Node, TUNNEL_OVERHEAD_V4, TunnelData};

/// Bytes of an Ethernet header.
pub(super) const ETH: usize = 14;
const IPV4: usize = 20;
const UDP: usize = 8;

/// The machine in front of this node, and this node's own interface.
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A whole Ethernet frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Frame(Vec<u8>);

/// A TCP segment without data.
#[derive(Clone, Copy, Debug)]
pub(super) enum Segment {
    Ack,
    Syn,
}

impl Frame {
    /// A segment over IPv4.
    pub(super) fn v4(client: SocketAddrV4, vip: Ipv4Addr, port: u16, segment: Segment) -> Self {
        let (source, destination) = (client.ip().octets(), vip.octets());
        let tcp = tcp(&[&source, &destination], client.port(), port, segment);
        let mut bytes = eth(OWN_MAC, ROUTER_MAC, 0x0800);
        bytes.extend(ipv4(IpProtocol::Tcp, 61, source, destination, tcp.len()));
        bytes.extend(tcp);
        Self(bytes)
    }

    /// A segment over IPv6.
    pub(super) fn v6(client: SocketAddrV6, vip: Ipv6Addr, port: u16, segment: Segment) -> Self {
        let (source, destination) = (client.ip().octets(), vip.octets());
        let tcp = tcp(&[&source, &destination], client.port(), port, segment);
        let mut bytes = eth(OWN_MAC, ROUTER_MAC, 0x86dd);
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend(length(tcp.len()));
        bytes.extend([6, 61]);
        bytes.extend(source);
        bytes.extend(destination);
        bytes.extend(tcp);
        Self(bytes)
    }

    /// This frame's packet in the tunnel to `node`, which is asked first, as RFC 791, RFC 768 and the
    /// tunnel's format have it.
    pub(super) fn tunnelled(
        &self,
        node: &Node,
        source_port: u16,
        tunnel_port: u16,
        data: TunnelData,
    ) -> Self {
        assert_eq!(
            node.family,
            Family::V4 as u8,
            "the bench's nodes have IPv4 addresses"
        );
        let address = |ip: ingress_common::Ip| -> [u8; 4] { bytemuck::cast(ip.words()[3]) };
        let inner = &self.0[ETH..];
        let proto = if inner[0] >> 4 == 4 { 4 } else { 41 };
        let gue = GueHeader {
            version_hlen: GueHeader::VERSION_HLEN,
            proto,
            flags: Be16::new(0),
            data,
        };
        let udp = UDP + GUE_LEN + inner.len();
        let mut bytes = eth(node.dmac, node.smac, 0x0800);
        bytes.extend(ipv4(
            IpProtocol::Udp,
            64,
            address(node.source),
            address(node.address),
            udp,
        ));
        bytes.extend(source_port.to_be_bytes());
        bytes.extend(tunnel_port.to_be_bytes());
        bytes.extend(length(udp));
        bytes.extend([0, 0]);
        bytes.extend(bytemuck::bytes_of(&gue));
        bytes.extend(inner);
        Self(bytes)
    }

    /// This frame after one hop: the TTL one lower with the checksum that belongs to it, or the hop limit.
    pub(super) fn after_a_hop(&self) -> Self {
        let mut frame = self.clone();
        match frame.0[ETH] >> 4 {
            4 => {
                frame.0[ETH + 8] -= 1;
                frame.0[ETH + 10..ETH + 12].fill(0);
                let sum = checksum(&[&frame.0[ETH..ETH + IPV4]]);
                frame.0[ETH + 10..ETH + 12].copy_from_slice(&sum);
            }
            _ => frame.0[ETH + 7] -= 1,
        }
        frame
    }

    /// What is left of a tunnel packet whose outer headers were taken off: its Ethernet header's addresses,
    /// and the inner packet.
    pub(super) fn stripped(&self) -> Self {
        let inner = &self.0[ETH + usize::from(TUNNEL_OVERHEAD_V4)..];
        let ethertype: u16 = if inner[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        Self([&self.0[..12], &ethertype.to_be_bytes(), inner].concat())
    }

    /// The outer source port of a tunnel packet.
    pub(super) fn outer_source_port(&self) -> u16 {
        u16::from_be_bytes([self.0[ETH + IPV4], self.0[ETH + IPV4 + 1]])
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// What the program under test may write over, and the harness puts back, in whole header fields.
    pub(super) fn restored(&self, tunnelled: bool) -> Restored {
        let word = |at: usize, length: usize| {
            let mut word = [0; 4];
            word[..length].copy_from_slice(&self.0[at..at + length]);
            u32::from_ne_bytes(word)
        };
        let (head_at, last) = if tunnelled { (ETH + IPV4 + UDP, 4) } else { (0, 2) };
        let inner = if tunnelled {
            ETH + usize::from(TUNNEL_OVERHEAD_V4)
        } else {
            ETH
        };
        // With IPv4: TTL, protocol and checksum. With IPv6: payload length, next header and hop limit.
        let hop_at = if self.0[inner] >> 4 == 4 {
            inner + 8
        } else {
            inner + 4
        };
        let head = [
            word(head_at, 4),
            word(head_at + 4, 4),
            word(head_at + 8, 4),
            word(head_at + 12, last),
        ];
        Restored {
            head_at,
            head,
            head_ends_short: last == 2,
            hop_at,
            hop: word(hop_at, 4),
        }
    }

    /// The IPv4 source address, as a number.
    pub(super) fn source_v4(&self) -> u32 {
        self.0[ETH + 12..ETH + 16]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    }
}

/// What the harness writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restored {
    pub(super) head_at: usize,
    pub(super) head: [u32; 4],
    pub(super) head_ends_short: bool,
    pub(super) hop_at: usize,
    pub(super) hop: u32,
}

#[derive(Clone, Copy)]
enum IpProtocol {
    Tcp = 6,
    Udp = 17,
}

fn eth(destination: [u8; 6], source: [u8; 6], ethertype: u16) -> Vec<u8> {
    [&destination[..], &source, &ethertype.to_be_bytes()].concat()
}

fn ipv4(protocol: IpProtocol, ttl: u8, source: [u8; 4], destination: [u8; 4], payload: usize) -> [u8; IPV4] {
    let mut header = [0; IPV4];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length(IPV4 + payload));
    header[6..8].copy_from_slice(&0x4000_u16.to_be_bytes());
    header[8] = ttl;
    header[9] = protocol as u8;
    header[12..16].copy_from_slice(&source);
    header[16..20].copy_from_slice(&destination);
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    header
}

fn tcp(addresses: &[&[u8]], source: u16, destination: u16, segment: Segment) -> Vec<u8> {
    let flags = match segment {
        Segment::Ack => 0x10,
        Segment::Syn => 0x02,
    };
    let mut header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    header.extend([0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    let pseudo = [
        &addresses.concat()[..],
        &[0, IpProtocol::Tcp as u8],
        &length(header.len()),
    ]
    .concat();
    let sum = checksum(&[&pseudo, &header]);
    header[16..18].copy_from_slice(&sum);
    header
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes)
        .expect("the bench's frames are small")
        .to_be_bytes()
}

/// RFC 1071, over parts of even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

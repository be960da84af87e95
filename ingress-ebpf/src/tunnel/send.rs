//! A packet that leaves for another node: its outer headers.

use bytemuck::{Pod, Zeroable};
use ingress_common::{
    Be16, Be32, Family, GueHeader, Node, Reason, Settings, TUNNEL_OVERHEAD_V4, TUNNEL_OVERHEAD_V6,
};

use crate::checksum::Sum;
use crate::header::{
    EthHeader, IpHeader, Ipv4Header, Ipv6Header, Macs, UdpHeader, length_of, protocol, tunnel_header,
};
use crate::parse::{Link, Tags};
use crate::select::Target;
use crate::{Cursor, Packet};

/// An inner packet on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel<H> {
    /// Its header, as it came.
    pub(crate) ip: H,
    /// Bytes behind its header.
    pub(crate) payload: u32,
    /// The outer source port: for a packet that enters here, 14 bits of the flow's hash above 0xC000.
    pub(crate) port: Be16,
    /// Bytes of outer headers that it has now.
    pub(crate) overhead: u16,
}

impl<H: IpHeader> Parcel<H> {
    /// Whether the way through the tunnel is a hop of the packet: the first node takes it, and no other.
    #[inline(always)]
    const fn hops(&self) -> bool {
        self.overhead == 0
    }

    /// Its header, as it is sent.
    #[inline(always)]
    fn sent(&self) -> H {
        if self.hops() { self.ip.hopped() } else { self.ip }
    }
}

/// Puts the outer headers to `target` in front, in place of those that are there. The outer family is the
/// target's, whichever the packet came by.
#[inline(always)]
pub(crate) fn send<H: IpHeader, P: Packet>(
    packet: &mut P,
    settings: &Settings,
    link: Link,
    target: &Target<'_>,
    parcel: &Parcel<H>,
) -> Result<(), Reason> {
    let node = target.node;
    if !Macs::towards(node).resolved() {
        return Err(Reason::NoNeighbour);
    }
    if node.ifindex != packet.ifindex() {
        return Err(Reason::RedirectFail);
    }
    let gue = tunnel_header(H::PROTOCOL, target.hops, settings);
    let tags = link.tags(&mut packet.cursor()).ok_or(Reason::Truncated)?;
    // Each family by itself, with its lengths as constants.
    if node.family == Family::V6 as u8 {
        make_room(packet, node, parcel, TUNNEL_OVERHEAD_V6)?;
        let cursor = &mut packet.cursor();
        let written = write_v6(cursor, tags, node, settings, parcel, gue);
        write_inner(cursor, written, parcel)
    } else {
        make_room(packet, node, parcel, TUNNEL_OVERHEAD_V4)?;
        let cursor = &mut packet.cursor();
        let written = write_v4(cursor, tags, node, settings, parcel, gue);
        write_inner(cursor, written, parcel)
    }
}

/// Makes the room in front that outer headers of `overhead` bytes need, if the result fits the way.
#[inline(always)]
fn make_room<H: IpHeader, P: Packet>(
    packet: &mut P,
    node: &Node,
    parcel: &Parcel<H>,
    overhead: u16,
) -> Result<(), Reason> {
    if parcel.ip.total_length() + u32::from(overhead) > u32::from(node.mtu) {
        return Err(Reason::TooBig);
    }
    if overhead == parcel.overhead {
        return Ok(());
    }
    packet
        .adjust_head(i32::from(parcel.overhead) - i32::from(overhead))
        .ok_or(Reason::Headroom)
}

/// Writes what changes in the inner header, behind the outer ones: a packet that comes from a node has had
/// its hop.
#[inline(always)]
fn write_inner<H: IpHeader>(
    cursor: &mut Cursor<'_>,
    outer: Option<()>,
    parcel: &Parcel<H>,
) -> Result<(), Reason> {
    outer.ok_or(Reason::Truncated)?;
    if !parcel.hops() {
        return Ok(());
    }
    cursor.modify(H::hopped).ok_or(Reason::Truncated)
}

/// IPv4 outside: no checksum in UDP (RFC 768; the inner packet has its own), no fragments.
#[inline(always)]
fn write_v4<H: IpHeader>(
    cursor: &mut Cursor<'_>,
    tags: Tags,
    node: &Node,
    settings: &Settings,
    parcel: &Parcel<H>,
    gue: GueHeader,
) -> Option<()> {
    let total = be16(parcel.ip.total_length() + u32::from(TUNNEL_OVERHEAD_V4));
    let traffic_class = outer_traffic_class(&parcel.ip);
    let checksum = Sum::from_folded(node.header_sum)
        .add16(Be16::new(u16::from(traffic_class)))
        .add16(total)
        .checksum();
    let [.., source] = node.source.words();
    let [.., destination] = node.address.words();
    tags.write(cursor, link_header(node, Ipv4Header::ETHERTYPE))?;
    let ip = Ipv4Header {
        version_ihl: Ipv4Header::VERSION_IHL,
        traffic_class,
        total_length: total,
        identification: Be16::new(0),
        fragment: Ipv4Header::DONT_FRAGMENT,
        ttl: OUTER_TTL,
        protocol: protocol::UDP,
        checksum,
        source,
        destination,
    };
    let udp = UdpHeader {
        source: parcel.port,
        destination: settings.tunnel_port,
        length: be16(parcel.ip.total_length() + UDP_OVERHEAD),
        checksum: Be16::new(0),
    };
    cursor.write(Outer { ip, udp, gue })
}

/// IPv6 outside: UDP must have a checksum (RFC 8200 section 8.1); the inner packet's own make it known.
#[inline(always)]
fn write_v6<H: IpHeader>(
    cursor: &mut Cursor<'_>,
    tags: Tags,
    node: &Node,
    settings: &Settings,
    parcel: &Parcel<H>,
    gue: GueHeader,
) -> Option<()> {
    let length = be16(parcel.ip.total_length() + UDP_OVERHEAD);
    let [gue0, gue1, gue2, gue3]: [Be32; 4] = bytemuck::must_cast(gue);
    // The pseudo header (RFC 8200 section 8.1), the UDP header, ours, and the inner packet.
    let checksum = parcel
        .sent()
        .packet_sum(parcel.payload)
        .add128(node.source.words())
        .add128(node.address.words())
        .add16(Be16::new(u16::from(protocol::UDP)))
        .add16(length)
        .add16(parcel.port)
        .add16(settings.tunnel_port)
        .add16(length)
        .add128([gue0, gue1, gue2, gue3])
        .udp_checksum();
    tags.write(cursor, link_header(node, Ipv6Header::ETHERTYPE))?;
    let ip = Ipv6Header {
        version_class_label: Ipv6Header::first_word(
            outer_traffic_class(&parcel.ip),
            u32::from(parcel.port.get()),
        ),
        payload_length: length,
        next_header: protocol::UDP,
        hop_limit: OUTER_TTL,
        source: node.source.words(),
        destination: node.address.words(),
    };
    let udp = UdpHeader {
        source: parcel.port,
        destination: settings.tunnel_port,
        length,
        checksum,
    };
    cursor.write(Outer { ip, udp, gue })
}

/// All that stands between the link layer and the inner packet.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Outer<H> {
    ip: H,
    udp: UdpHeader,
    gue: GueHeader,
}

/// TTL and hop limit of an outer header.
const OUTER_TTL: u8 = 64;
/// What UDP's length counts besides the inner packet.
const UDP_OVERHEAD: u32 = (length_of::<UdpHeader>() + length_of::<GueHeader>()) as u32;

#[inline(always)]
fn link_header(node: &Node, ethertype: Be16) -> EthHeader {
    EthHeader {
        macs: Macs::towards(node),
        ethertype,
    }
}

/// The inner packet's differentiated services, and no ECN: what a router between the nodes would mark is
/// not carried over when the outer header is taken off (RFC 6040 section 4.3, compatibility mode).
#[inline(always)]
fn outer_traffic_class<H: IpHeader>(ip: &H) -> u8 {
    ip.traffic_class() & 0xfc
}

/// A length that was held against a 16-bit MTU.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "no more than `Node::mtu`, which has 16 bits"
)]
const fn be16(length: u32) -> Be16 {
    Be16::new(length as u16)
}

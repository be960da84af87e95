//! The headers as they lie on the wire: one file each, fields in wire order, no padding.
//!
//! They are copied out of the packet, so their alignment does not matter. What both IP versions have in
//! common is [`IpHeader`]: the packet path is written once, over it.

mod eth;
mod gue;
mod ipv4;
mod ipv6;
mod tcp;
mod udp;

use bytemuck::Pod;
use ingress_common::{Be16, Family, Ip, Reason, Settings, SlotKey};

use crate::checksum::Sum;

pub use eth::{EthHeader, Macs, VlanTag, ethertype};
pub use gue::tunnel_header;
pub use ipv4::Ipv4Header;
pub use ipv6::Ipv6Header;
pub use tcp::TcpHeader;
pub use udp::UdpHeader;

/// Bytes of a header.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "it is asserted to fit")]
pub(crate) const fn length_of<T>() -> u16 {
    const { assert!(size_of::<T>() <= u16::MAX as usize) };
    size_of::<T>() as u16
}

/// IP protocol numbers (IANA).
pub mod protocol {
    /// Hop-by-hop options, an IPv6 extension header.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside something.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside something.
    pub const IPV6: u8 = 41;
    /// Routing, an IPv6 extension header.
    pub const ROUTING: u8 = 43;
    /// Fragment, an IPv6 extension header.
    pub const FRAGMENT: u8 = 44;
    /// Authentication, an IPv6 extension header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Destination options, an IPv6 extension header.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// Mobility, an IPv6 extension header.
    pub const MOBILITY: u8 = 135;
    /// Host Identity Protocol, an IPv6 extension header.
    pub const HOST_IDENTITY: u8 = 139;
    /// Shim6, an IPv6 extension header.
    pub const SHIM6: u8 = 140;
}

/// The header of an IP packet, of either version.
pub trait IpHeader: Pod {
    /// Its family.
    const FAMILY: Family;
    /// Its number in an Ethernet header.
    const ETHERTYPE: Be16;
    /// Its protocol number inside a tunnel.
    const PROTOCOL: u8;
    /// ICMP's protocol number over it.
    const ICMP: u8;

    /// Where it is from.
    fn source(&self) -> Ip;

    /// Where it goes.
    fn destination(&self) -> Ip;

    /// The protocol number that follows.
    fn protocol(&self) -> u8;

    /// Bytes of the whole packet, as this header has it.
    fn total_length(&self) -> u32;

    /// Whether the header is of the one form that is read further (no options, a length that fits `room`
    /// bytes, no fragment, no extension header): the bytes that follow it, or what is wrong.
    fn payload_length(&self, room: u32) -> Result<u32, Reason>;

    /// Whether the packet is whole or a datagram's first fragment, so that what follows begins with ports.
    fn starts(&self) -> bool;

    /// Bytes of options between this header and what it says follows; for a form that cannot be right, 0.
    fn options_length(&self) -> u16;

    /// This node's own address as the outer end of a tunnel over this version.
    fn outer_address(settings: &Settings) -> Ip;

    /// The keyed hash of the client's side of the flow.
    fn slot_hash(&self, port: Be16, key: &SlotKey) -> u64;

    /// The traffic class octet.
    fn traffic_class(&self) -> u8;

    /// Whether its life ends here: no hop is left.
    fn expires(&self) -> bool;

    /// The same header one hop further.
    fn hopped(self) -> Self;

    /// The sum of the whole packet, known from the header alone because the checksums of the header and of
    /// the TCP segment, `payload` bytes long, each make their own sum zero.
    fn packet_sum(&self, payload: u32) -> Sum;
}

//! IPv6 (RFC 8200 section 3).

use bytemuck::{Pod, Zeroable};
use ingress_common::{Be16, Be32, Family, Ip, Reason, Settings, SlotKey};

use super::{IpHeader, ethertype, length_of, protocol};
use crate::checksum::Sum;
use crate::siphash::siphash13;

/// An IPv6 header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Ipv6Header {
    /// Version 6 (4 bits), traffic class (8 bits), flow label (20 bits).
    pub version_class_label: Be32,
    /// Bytes that follow this header.
    pub payload_length: Be16,
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Where it is from.
    pub source: [Be32; 4],
    /// Where it goes.
    pub destination: [Be32; 4],
}

impl Ipv6Header {
    const LENGTH: u32 = length_of::<Self>() as u32;

    /// The first word: version 6, a traffic class and the low 20 bits of a flow label.
    #[inline(always)]
    pub const fn first_word(traffic_class: u8, flow_label: u32) -> Be32 {
        Be32::new(0x6000_0000 | (traffic_class as u32) << 20 | flow_label & 0x000f_ffff)
    }

    /// Next header and hop limit, the word of the header that each hop changes.
    #[inline(always)]
    const fn hop_word(&self) -> Be16 {
        Be16::from_wire(u16::from_ne_bytes([self.next_header, self.hop_limit]))
    }
}

impl IpHeader for Ipv6Header {
    const FAMILY: Family = Family::V6;
    const ETHERTYPE: Be16 = ethertype::IPV6;
    const PROTOCOL: u8 = protocol::IPV6;
    const ICMP: u8 = protocol::ICMPV6;

    #[inline(always)]
    fn source(&self) -> Ip {
        Ip::v6(self.source)
    }

    #[inline(always)]
    fn destination(&self) -> Ip {
        Ip::v6(self.destination)
    }

    #[inline(always)]
    fn protocol(&self) -> u8 {
        self.next_header
    }

    #[inline(always)]
    fn total_length(&self) -> u32 {
        Self::LENGTH + u32::from(self.payload_length.get())
    }

    #[inline(always)]
    fn payload_length(&self, room: u32) -> Result<u32, Reason> {
        if self.version_class_label.get() >> 28 != 6 || self.total_length() > room {
            return Err(Reason::Malformed);
        }
        match self.next_header {
            protocol::FRAGMENT => Err(Reason::Fragment),
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HOST_IDENTITY
            | protocol::SHIM6 => Err(Reason::ExtensionHeader),
            _ => Ok(u32::from(self.payload_length.get())),
        }
    }

    #[inline(always)]
    fn starts(&self) -> bool {
        true
    }

    #[inline(always)]
    fn options_length(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn outer_address(settings: &Settings) -> Ip {
        settings.outer_v6
    }

    /// The message is the client's address and port, eighteen bytes as on the wire.
    #[inline(always)]
    fn slot_hash(&self, port: Be16, key: &SlotKey) -> u64 {
        let [a, b, c, d] = self.source.map(|word| u64::from(word.to_wire().to_le()));
        let port = u64::from(port.to_wire().to_le());
        siphash13(key, [a | b << 32, c | d << 32], port | 18 << 56)
    }

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the traffic class is these eight bits"
    )]
    fn traffic_class(&self) -> u8 {
        (self.version_class_label.get() >> 20) as u8
    }

    #[inline(always)]
    fn expires(&self) -> bool {
        self.hop_limit <= 1
    }

    #[inline(always)]
    fn hopped(self) -> Self {
        Self {
            hop_limit: self.hop_limit.wrapping_sub(1),
            ..self
        }
    }

    #[inline(always)]
    fn packet_sum(&self, _payload: u32) -> Sum {
        // The TCP checksum makes the sum of the segment and the pseudo header zero (RFC 8200 section 8.1).
        // Addresses and length stand in this header too, so what is left is its other words less the
        // pseudo header's protocol.
        Sum::new()
            .add32(self.version_class_label)
            .add16(self.hop_word())
            .add(Sum::new().add16(Be16::new(protocol::TCP as u16)).negate())
    }
}

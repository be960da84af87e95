//! IPv4 (RFC 791 section 3.1).

use bytemuck::{Pod, Zeroable};
use ingress_common::{Be16, Be32, Family, Ip, Reason, Settings, SlotKey};

use super::{IpHeader, ethertype, length_of, protocol};
use crate::checksum::{self, Sum};
use crate::siphash::siphash13;

/// An IPv4 header without options.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Ipv4Header {
    /// Version 4 (4 bits), length of the header in 32-bit words (4 bits).
    pub version_ihl: u8,
    /// Differentiated services and ECN.
    pub traffic_class: u8,
    /// Bytes of the whole packet.
    pub total_length: Be16,
    /// Which datagram a fragment belongs to.
    pub identification: Be16,
    /// Flags (3 bits) and a fragment's offset.
    pub fragment: Be16,
    /// Hops left.
    pub ttl: u8,
    /// What follows.
    pub protocol: u8,
    /// The header's checksum.
    pub checksum: Be16,
    /// Where it is from.
    pub source: Be32,
    /// Where it goes.
    pub destination: Be32,
}

impl Ipv4Header {
    /// Version 4, five words.
    pub const VERSION_IHL: u8 = 0x45;
    /// The flag that forbids fragments.
    pub const DONT_FRAGMENT: Be16 = Be16::new(0x4000);
    /// All that makes a fragment: the flag of more to come, and the offset.
    const FRAGMENT_MASK: Be16 = Be16::new(0x3fff);
    /// A fragment's offset.
    const OFFSET_MASK: Be16 = Be16::new(0x1fff);
    /// What a hop takes from the word of TTL and protocol.
    const HOP: Be16 = Be16::new(0x0100);
    const LENGTH: u32 = length_of::<Self>() as u32;
}

impl IpHeader for Ipv4Header {
    const FAMILY: Family = Family::V4;
    const ETHERTYPE: Be16 = ethertype::IPV4;
    const PROTOCOL: u8 = protocol::IPV4;
    const ICMP: u8 = protocol::ICMP;

    #[inline(always)]
    fn source(&self) -> Ip {
        Ip::v4(self.source)
    }

    #[inline(always)]
    fn destination(&self) -> Ip {
        Ip::v4(self.destination)
    }

    #[inline(always)]
    fn protocol(&self) -> u8 {
        self.protocol
    }

    #[inline(always)]
    fn total_length(&self) -> u32 {
        u32::from(self.total_length.get())
    }

    #[inline(always)]
    fn payload_length(&self, room: u32) -> Result<u32, Reason> {
        let total = self.total_length();
        if self.version_ihl != Self::VERSION_IHL || total < Self::LENGTH || total > room {
            return Err(Reason::Malformed);
        }
        if self.fragment.to_wire() & Self::FRAGMENT_MASK.to_wire() != 0 {
            return Err(Reason::Fragment);
        }
        Ok(total - Self::LENGTH)
    }

    #[inline(always)]
    fn starts(&self) -> bool {
        self.fragment.to_wire() & Self::OFFSET_MASK.to_wire() == 0
    }

    #[inline(always)]
    fn options_length(&self) -> u16 {
        u16::from(self.version_ihl & 0x0f).saturating_sub(5) * 4
    }

    #[inline(always)]
    fn outer_address(settings: &Settings) -> Ip {
        settings.outer_v4
    }

    /// The message is the client's address and port, six bytes as on the wire.
    #[inline(always)]
    fn slot_hash(&self, port: Be16, key: &SlotKey) -> u64 {
        let address = u64::from(self.source.to_wire().to_le());
        let port = u64::from(port.to_wire().to_le());
        siphash13(key, [], address | port << 32 | 6 << 56)
    }

    #[inline(always)]
    fn traffic_class(&self) -> u8 {
        self.traffic_class
    }

    #[inline(always)]
    fn expires(&self) -> bool {
        self.ttl <= 1
    }

    #[inline(always)]
    fn hopped(self) -> Self {
        Self {
            ttl: self.ttl.wrapping_sub(1),
            checksum: checksum::lessen(self.checksum, Self::HOP),
            ..self
        }
    }

    #[inline(always)]
    fn packet_sum(&self, payload: u32) -> Sum {
        // The TCP checksum makes the sum of the segment and this pseudo header zero (RFC 9293 section 3.1).
        Sum::new()
            .add32(self.source)
            .add32(self.destination)
            .add32(Be32::new(u32::from(protocol::TCP)))
            .add32(Be32::new(payload))
            .negate()
    }
}

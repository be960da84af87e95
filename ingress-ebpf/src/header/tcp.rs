//! TCP (RFC 9293 section 3.1), without its options.

use bytemuck::{Pod, Zeroable};
use ingress_common::{Be16, Be32};

/// A TCP header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct TcpHeader {
    /// The sender's port.
    pub source: Be16,
    /// The receiver's port.
    pub destination: Be16,
    /// The number of the first byte.
    pub sequence: Be32,
    /// The number of the next byte that is expected.
    pub acknowledgement: Be32,
    /// Length of the header in 32-bit words (4 bits), reserved (4 bits).
    pub data_offset: u8,
    /// The control bits.
    pub flags: u8,
    /// The receive window.
    pub window: Be16,
    /// The checksum.
    pub checksum: Be16,
    /// The urgent pointer.
    pub urgent: Be16,
}

impl TcpHeader {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// A new connection.
    pub const SYN: u8 = 0x02;
    /// The connection is refused or reset.
    pub const RST: u8 = 0x04;
    /// To be pushed to the application.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;

    /// Whether it asks for a new connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether it may be the segment that acknowledges a SYN cookie: the third of a handshake.
    #[inline(always)]
    pub const fn may_acknowledge_cookie(&self) -> bool {
        self.flags & (Self::SYN | Self::RST | Self::ACK) == Self::ACK
    }

    /// Bytes of the header with its options.
    #[inline(always)]
    pub const fn length(&self) -> u32 {
        (self.data_offset >> 4) as u32 * 4
    }
}

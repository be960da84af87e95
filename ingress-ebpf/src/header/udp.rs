//! UDP (RFC 768).

use bytemuck::{Pod, Zeroable};
use ingress_common::Be16;

/// A UDP header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct UdpHeader {
    /// The sender's port.
    pub source: Be16,
    /// The receiver's port.
    pub destination: Be16,
    /// Bytes of this header and what follows.
    pub length: Be16,
    /// The checksum; zero: none.
    pub checksum: Be16,
}

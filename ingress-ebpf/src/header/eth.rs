//! Ethernet II (IEEE 802.3) and the VLAN tag (IEEE 802.1Q).

use bytemuck::{Pod, Zeroable};
use ingress_common::Be16;

/// Numbers of what an Ethernet header can be followed by.
pub mod ethertype {
    use ingress_common::Be16;

    /// IPv4.
    pub const IPV4: Be16 = Be16::new(0x0800);
    /// IPv6.
    pub const IPV6: Be16 = Be16::new(0x86dd);
    /// A VLAN tag.
    pub const VLAN: Be16 = Be16::new(0x8100);
    /// A service VLAN tag, the outer of two.
    pub const SERVICE_VLAN: Be16 = Be16::new(0x88a8);
}

/// An Ethernet header.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct EthHeader {
    /// To whom.
    pub destination: [u8; 6],
    /// From whom.
    pub source: [u8; 6],
    /// What follows.
    pub ethertype: Be16,
}

/// A VLAN tag, after the type number that announced it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct VlanTag {
    /// Priority and VLAN.
    pub control: Be16,
    /// What follows.
    pub ethertype: Be16,
}

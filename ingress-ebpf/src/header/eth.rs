//! Ethernet II (IEEE 802.3) and the VLAN tag (IEEE 802.1Q).

use core::mem::offset_of;

use bytemuck::{Pod, Zeroable};
use ingress_common::{Be16, Be32, Node};

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
#[repr(C, packed(2))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct EthHeader {
    /// To whom and from whom.
    pub macs: Macs,
    /// What follows.
    pub ethertype: Be16,
}

/// The two addresses that an Ethernet header begins with, the destination's first. They are copied in whole
/// words, which arrays of bytes would not be.
#[repr(C, packed(2))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Macs([u32; 3]);

impl Macs {
    /// From this node towards `node`.
    #[inline(always)]
    pub fn towards(node: &Node) -> Self {
        const { assert!(offset_of!(Node, dmac) == 32 && offset_of!(Node, smac) == 38) };
        let words: &[u32; 16] = bytemuck::must_cast_ref(node);
        let [_, _, _, _, _, _, _, _, a, b, c, ..] = *words;
        Self([a, b, c])
    }

    /// Whether the destination is known: a node's is all zero while its next hop is not resolved.
    #[inline(always)]
    pub const fn resolved(self) -> bool {
        let [a, b, _] = self.0;
        a != 0 || b & Be32::new(0xffff_0000).to_wire() != 0
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_the_nodes_own_in_order() {
        let node = Node {
            dmac: [1, 2, 3, 4, 5, 6],
            smac: [7, 8, 9, 10, 11, 12],
            ..Node::default()
        };
        let bytes: [u8; 12] = bytemuck::cast(Macs::towards(&node));
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn any_byte_of_the_next_hop_resolves_it_and_none_of_ours_does() {
        for index in 0..6 {
            let mut node = Node {
                smac: [0xff; 6],
                ..Node::default()
            };
            assert!(!Macs::towards(&node).resolved());
            node.dmac[index] = 1;
            assert!(Macs::towards(&node).resolved());
        }
    }
}

//! `NODES` and `PEERS`: how to reach a node through the tunnel, and who may send through it.

use bytemuck::{Pod, Zeroable};

use crate::{Ip, shared};

/// Entries of `NODES`: numbers 1 to 4,095; 0 is nobody.
pub const MAX_NODES: u32 = 4096;
/// Entries of `PEERS`.
pub const MAX_PEERS: u32 = 4096;

/// The value of `NODES`, by node number: everything an outer header needs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Node {
    /// The node's outer address.
    pub address: Ip,
    /// This node's outer address towards it, of the same family.
    pub source: Ip,
    /// MAC address of the next hop towards it; all zero while it is not resolved.
    pub dmac: [u8; 6],
    /// MAC address of the interface towards it.
    pub smac: [u8; 6],
    /// The interface towards it.
    pub ifindex: u32,
    /// MTU towards it, in bytes of an IP packet.
    pub mtu: u16,
    /// Low 16 bits of the membership's hash.
    pub generation: u16,
    /// A [`NodeState`].
    pub state: u8,
    /// A [`Family`]: the outer header's.
    pub family: u8,
    /// For an IPv4 outer header: the folded, not complemented one's-complement sum (RFC 1071), in wire
    /// order as loaded, of its words but the total length and the checksum.
    pub header_sum: u16,
    /// Zero.
    pub reserved: [u8; 8],
}

shared!(Node, 64);

/// Whether a number names a node, and which.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NodeState {
    /// No node has this number.
    #[default]
    Absent = 0,
    /// This node.
    Local = 1,
    /// Another node, behind the tunnel.
    Peer = 2,
    /// Another node, known to be down.
    Down = 3,
}

/// The family of an outer header.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    #[default]
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// The value of `PEERS`, by outer source address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Peer {
    /// The peer's number.
    pub node: u16,
    /// Zero.
    pub reserved: u16,
}

shared!(Peer, 4);

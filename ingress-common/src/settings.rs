//! `CONFIG` and `HEARTBEAT`: what the programs know of this node.

use bytemuck::{Pod, Zeroable};

use crate::{Be16, Be32, Ip, shared};

/// The key of SipHash-1-3 over the client's side of a flow, the same on all nodes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct SlotKey {
    /// The key's first half.
    pub k0: u64,
    /// The key's second half.
    pub k1: u64,
}

shared!(SlotKey, 16);

/// The only value of `CONFIG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Settings {
    /// The key of the slot hash.
    pub slot_key: SlotKey,
    /// This node's outer IPv4 address, mapped, or zero.
    pub outer_v4: Ip,
    /// This node's outer IPv6 address, or zero.
    pub outer_v6: Ip,
    /// The keys a tunnel packet may carry: the present one, which is also sent, and the one before (or
    /// the present one again).
    pub tunnel_keys: [Be32; 2],
    /// This node's number. 0: the agent has not configured the programs yet.
    pub node: u16,
    /// The tunnel's UDP port.
    pub tunnel_port: Be16,
    /// Low 16 bits of the membership's hash.
    pub generation: u16,
    /// Zero.
    pub reserved: u16,
}

shared!(Settings, 64);

/// The only value of `HEARTBEAT`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Heartbeat {
    /// `CLOCK_MONOTONIC` in nanoseconds when the agent last took new connections; 0 when it takes none.
    pub monotonic_ns: u64,
}

shared!(Heartbeat, 8);

/// A [`Heartbeat`] older than this, in nanoseconds, is an agent that takes no new connections. It is
/// written every 100 ms.
pub const HEARTBEAT_FRESH_NS: u64 = 500_000_000;

//! The value of `REASONS`, `VIP_TRAFFIC` and `NODE_TRAFFIC`, one per CPU.

use bytemuck::{Pod, Zeroable};

use crate::shared;

/// What was counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header, as the packet came in.
    pub bytes: u64,
}

shared!(Traffic, 16);

//! `SLOTS`: each pool's table of 65,536 slots, by the top 16 bits of the flow's keyed hash.
//!
//! An array of maps; each inner map is an array of one [`SlotTable`], so that a table is swapped whole.

use bytemuck::{Pod, Zeroable};

use crate::shared;

/// Pools: entries of `SLOTS`.
pub const MAX_POOLS: u32 = 64;
/// Slots of one pool.
pub const SLOTS: usize = 65_536;

/// The pool's three best nodes for a slot by rendezvous hashing: the best active one first, then the
/// others by rank, draining ones included. Each is an index into the VIP's backend map; 0 is nobody.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Slot {
    /// Where the flow belongs.
    pub owner: u16,
    /// Who is asked when the owner does not know the flow.
    pub next1: u16,
    /// Who is asked last.
    pub next2: u16,
}

shared!(Slot, 6);

/// The value of an inner map of `SLOTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SlotTable {
    /// One slot per value of the hash's top 16 bits.
    pub slots: [Slot; SLOTS],
}

shared!(SlotTable, 393_216);

//! `BACKENDS`: for each VIP, the nodes as this VIP sees them.
//!
//! An array of maps by the VIP's number; each inner map is an array of [`Backend`], pinned as
//! `vips/ADDRESS-PORT-PROTO`. A backend's index in it is its node's number, so that an index keeps its
//! meaning while tables are swapped one after the other.

use bytemuck::{Pod, Zeroable};

use crate::shared;

/// The most entries that an inner map of `BACKENDS` can have: node numbers are 1 to 4,095, and 0 is nobody.
pub const MAX_BACKENDS: u32 = 4096;

/// A node as one VIP sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct Backend {
    /// The node's number: index of `NODES`. 0: none.
    pub node: u16,
    /// A [`BackendState`].
    pub state: u8,
    /// Zero.
    pub reserved: u8,
}

shared!(Backend, 4);

/// Whether a VIP's packets may be sent to a node.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BackendState {
    /// No node.
    #[default]
    Absent = 0,
    /// Takes new connections and keeps its own.
    Active = 1,
    /// Keeps its own connections; the slot table gives it no new ones.
    Draining = 2,
    /// Known to be down: skipped.
    Down = 3,
}

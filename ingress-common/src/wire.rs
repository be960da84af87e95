//! Integers in wire (big-endian) order: no arithmetic until [`Be16::get`] or [`Be32::get`].

use bytemuck::{Pod, Zeroable};

use crate::shared;

/// A 16-bit number in wire order.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Pod, Zeroable)]
pub struct Be16(u16);

shared!(Be16, 2);

impl Be16 {
    /// Puts a host-order number in wire order.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// Takes a number that already is in wire order, as it was loaded from a packet.
    #[inline(always)]
    pub const fn from_wire(raw: u16) -> Self {
        Self(raw)
    }

    /// The number in host order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The number as it lies in memory, in wire order.
    #[inline(always)]
    pub const fn to_wire(self) -> u16 {
        self.0
    }
}

/// A 32-bit number in wire order.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Pod, Zeroable)]
pub struct Be32(u32);

shared!(Be32, 4);

impl Be32 {
    /// Puts a host-order number in wire order.
    #[inline(always)]
    pub const fn new(host: u32) -> Self {
        Self(host.to_be())
    }

    /// Takes a number that already is in wire order, as it was loaded from a packet.
    #[inline(always)]
    pub const fn from_wire(raw: u32) -> Self {
        Self(raw)
    }

    /// The number in host order.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The number as it lies in memory, in wire order.
    #[inline(always)]
    pub const fn to_wire(self) -> u32 {
        self.0
    }
}

//! `VIP_ADDRS`: the addresses that are ours, and the ports served on each.
//!
//! A hash keyed by [`Ip`](crate::Ip): the one hash lookup of a plain packet. The ports lie inline in the
//! value, so that everything after this lookup is an array.

use bytemuck::{Pod, Zeroable};

use crate::{Be16, shared};

/// Entries of `VIP_ADDRS`.
pub const MAX_ADDRESSES: u32 = 4096;
/// Ports that one address can serve.
pub const MAX_PORTS: usize = 16;
/// VIPs (address + port + protocol) in all: entries of `BACKENDS` and `VIP_TRAFFIC`. Number 0 is no VIP.
pub const MAX_VIPS: u32 = 4096;

/// `IPPROTO_TCP`, the protocol of a [`VipPort`].
pub const PORT_TCP: u8 = 6;

/// One port of a VIP address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct VipPort {
    /// The port, in wire order.
    pub port: Be16,
    /// The IP protocol number.
    pub proto: u8,
    /// No flag is defined yet: 0.
    pub flags: u8,
    /// The VIP's number: index of `BACKENDS` and `VIP_TRAFFIC`.
    pub vip: u16,
    /// The pool's number: index of `SLOTS`.
    pub pool: u16,
}

shared!(VipPort, 8);

/// The value of `VIP_ADDRS`: one address of ours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct VipAddress {
    /// How many of `ports` are in use, from the first.
    pub count: u8,
    /// A [`PortPolicy`]: what happens to packets for ports that are not served.
    pub policy: u8,
    /// Zero.
    pub reserved: [u8; 6],
    /// The served ports.
    pub ports: [VipPort; MAX_PORTS],
}

shared!(VipAddress, 136);

/// What happens to a packet for a port that its VIP address does not serve.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PortPolicy {
    /// Dropped and counted.
    #[default]
    Drop = 0,
    /// Passed to the kernel and counted.
    Pass = 1,
}

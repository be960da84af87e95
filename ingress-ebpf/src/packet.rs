//! What the packet path asks of its surroundings: the frame it works on, and what it may look up.
//!
//! The kernel's side of both is in the binary; tests bring their own.

use ingress_common::{Backend, Heartbeat, Ip, Node, Peer, Reason, Settings, Slot, VipAddress};

use crate::cursor::{Cursor, View};
use crate::header::{IpHeader, TcpHeader};

/// A frame that was received.
pub trait Packet {
    /// Its present length in bytes, from the Ethernet header.
    fn length(&self) -> u32;

    /// The interface it was received by.
    fn ifindex(&self) -> u32;

    /// A cursor at its start.
    fn cursor(&mut self) -> Cursor<'_>;

    /// Takes `bytes` away at the front, or adds `-bytes` of no particular content there. `None` where the
    /// driver has no room.
    fn adjust_head(&mut self, bytes: i32) -> Option<()>;
}

/// The maps and the kernel's answers.
pub trait Tables {
    /// The value of `CONFIG`.
    fn settings(&self) -> Option<&Settings>;
    /// The entry of `VIP_ADDRS` for an address.
    fn vip_address(&self, address: &Ip) -> Option<&VipAddress>;
    /// The entry of `PEERS` for an outer source address.
    fn peer(&self, address: &Ip) -> Option<&Peer>;
    /// A pool's slot for a flow's hash.
    fn slot(&self, pool: u16, hash: u64) -> Option<Slot>;
    /// A node as a VIP sees it.
    fn backend(&self, vip: u16, index: u16) -> Option<Backend>;
    /// A node by its number.
    fn node(&self, number: u16) -> Option<&Node>;
    /// The value of `HEARTBEAT`.
    fn heartbeat(&self) -> Option<Heartbeat>;
    /// `CLOCK_MONOTONIC` in nanoseconds; a few milliseconds late is fine.
    fn now(&self) -> u64;
    /// What the kernel knows of the connection that a segment belongs to. With `cookie`, a listener is
    /// also asked whether the segment, whose IP header begins that many bytes into the frame, acknowledges
    /// a SYN cookie of its own.
    fn socket<H: IpHeader>(&self, ip: View<'_, H>, tcp: View<'_, TcpHeader>, cookie: Option<u16>) -> Socket;
    /// Counts one packet of that many bytes.
    fn count(&self, counter: Counter, bytes: u32);
}

/// What the kernel knows of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Socket {
    /// Nothing.
    None,
    /// The connection itself: being set up, established, closing or in TIME_WAIT.
    Connection,
    /// Only a listening socket.
    Listener {
        /// The segment acknowledges a valid SYN cookie of this listener.
        cookie: bool,
    },
}

/// Where a packet is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counter {
    /// `REASONS`.
    Reason(Reason),
    /// `VIP_TRAFFIC`, by the VIP's number.
    Vip(u16),
    /// `NODE_TRAFFIC`, by the node's number.
    Node(u16),
}

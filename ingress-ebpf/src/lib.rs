//! The packet path's decisions, without the kernel.
//!
//! A frame and some tables go in; what is left in the frame and one [`Reason`](ingress_common::Reason) come
//! out. The walk is [`ingress`]: link layer ([`parse`]), the tunnel's outer header ([`tunnel`]), the address,
//! strict checks ([`guard`]), the slot and its nodes ([`select`]), whether this node keeps the packet
//! ([`accept`]), and the tunnel to the node that is asked instead. [`steer`] is the other program: which
//! listener gets a connection.
//!
//! All of it works on any [`Packet`] and any [`Tables`]: the kernel's in the binary, a test's on the host.
//! Everything is inlined into the program's one function, because a call costs as much there as all the
//! header checks together.

#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod accept;
pub mod checksum;
mod cursor;
mod guard;
pub mod header;
mod ingress;
mod packet;
mod parse;
mod port;
mod select;
mod siphash;
mod steer;
mod tunnel;

pub use cursor::{Cursor, View};
pub use ingress::ingress;
pub use packet::{Counter, Packet, Socket, Tables};
pub use siphash::siphash13;
pub use steer::{Steer, steer};

//! Which listener gets a connection that the kernel looks a socket up for.
//!
//! It runs for every packet that belongs to no connection yet, whichever way it came: from an interface
//! with the XDP program, from another, or from a pod of this node. So this, too, holds a VIP address to the
//! ports that it serves.

use ingress_common::{Be16, Ip, LISTENER_V4, LISTENER_V6, Reason, VipAddress};

use crate::port::{find, not_served};

/// What the kernel does with the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Steer {
    /// It looks for a socket itself.
    Pass,
    /// The listener of this index of `LISTENERS` gets it; if there is none, it is refused.
    Assign(u32),
    /// It is refused.
    Drop,
}

/// Decides by what a client dialled: an address, its entry of `VIP_ADDRS`, and a port of a protocol.
#[inline(always)]
pub fn steer(local: &Ip, address: Option<&VipAddress>, port: Be16, proto: u8) -> Steer {
    let Some(address) = address else {
        return Steer::Pass;
    };
    match find(address, port, proto) {
        Some(_) if local.is_v4() => Steer::Assign(LISTENER_V4),
        Some(_) => Steer::Assign(LISTENER_V6),
        None if not_served(address) == Reason::PortPassed => Steer::Pass,
        None => Steer::Drop,
    }
}

//! Whether this node keeps a packet that is its to keep. One answer for all: at the node where it entered
//! and after the tunnel, whatever the sender believed.

use ingress_common::HEARTBEAT_FRESH_NS;

use crate::header::{IpHeader, TcpHeader};
use crate::{Socket, Tables, View};

/// Whether a segment opens a connection that this node's agent will serve, or belongs to a connection that
/// this node has: the kernel's own socket table is the connection table. A SYN cookie's acknowledgement
/// finds only the listener, so there the cookie itself is the proof. The segment's IP header begins `offset`
/// bytes into the frame.
#[inline(always)]
pub(crate) fn accept<H: IpHeader, T: Tables>(
    tables: &T,
    ip: View<'_, H>,
    tcp: View<'_, TcpHeader>,
    offset: u16,
) -> bool {
    if tcp.get().opens() && serving(tables) {
        return true;
    }
    let cookie = tcp.get().may_acknowledge_cookie().then_some(offset);
    match tables.socket(ip, tcp, cookie) {
        Socket::Connection => true,
        Socket::Listener { cookie } => cookie,
        Socket::None => false,
    }
}

/// Whether the agent takes new connections: its heartbeat is fresh. The clock may be a tick behind it.
#[inline(always)]
fn serving<T: Tables>(tables: &T) -> bool {
    let Some(heartbeat) = tables.heartbeat() else {
        return false;
    };
    heartbeat.monotonic_ns != 0 && tables.now().saturating_sub(heartbeat.monotonic_ns) < HEARTBEAT_FRESH_NS
}

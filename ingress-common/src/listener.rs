//! `LISTENERS`: the agent's listening sockets, a `SOCKMAP` that `steer` assigns connections from.
//!
//! One socket stands for its whole `SO_REUSEPORT` group: the kernel picks the member again.

/// Entries of `LISTENERS`.
pub const MAX_LISTENERS: u32 = 2;
/// Index of the IPv4 group's socket.
pub const LISTENER_V4: u32 = 0;
/// Index of the IPv6 group's socket.
pub const LISTENER_V6: u32 = 1;

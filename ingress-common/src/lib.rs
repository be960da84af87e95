//! The plain data that the packet path in the kernel and the agent agree on.
//!
//! One file per map: its key, its value and its number of entries. Everything here is
//! [`bytemuck::Pod`], so padding is a compile error; every size is asserted; numbers in wire order
//! are types of their own ([`Be16`], [`Be32`]). There is no logic here beyond accessors.
//!
//! The maps are pinned, so these types are a format: a change of any of them is a change of
//! [`LAYOUT_VERSION`].

#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

mod backend;
mod ip;
mod listener;
mod node;
mod reason;
mod settings;
mod slot;
mod traffic;
mod tunnel;
mod vip;
mod wire;

pub use backend::{Backend, BackendState, MAX_BACKENDS};
pub use ip::Ip;
pub use listener::{LISTENER_V4, LISTENER_V6, MAX_LISTENERS};
pub use node::{Family, MAX_NODES, MAX_PEERS, Node, NodeState, Peer};
pub use reason::{MAX_REASONS, Reason, Verdict};
pub use settings::{HEARTBEAT_FRESH_NS, Heartbeat, Settings, SlotKey};
pub use slot::{MAX_POOLS, SLOTS, Slot, SlotTable};
pub use traffic::Traffic;
pub use tunnel::{
    GUE_LEN, GueHeader, MAX_HOPS, TUNNEL_OVERHEAD_MAX, TUNNEL_OVERHEAD_V4, TUNNEL_OVERHEAD_V6, TUNNEL_PORT,
    TUNNEL_VERSION, TunnelData,
};
pub use vip::{MAX_ADDRESSES, MAX_PORTS, MAX_VIPS, PORT_TCP, PortPolicy, VipAddress, VipPort};
pub use wire::{Be16, Be32};

/// The version of every pinned map's format. Agents with different versions never share pins.
pub const LAYOUT_VERSION: u32 = 1;

/// States the size of a shared type and, for user space, that aya may copy it to and from the kernel.
macro_rules! shared {
    ($type:ty, $size:expr) => {
        const _: () = assert!(size_of::<$type>() == $size);

        // SAFETY: the bound below holds `$type` to `bytemuck::Pod`: any bit pattern is a value and there
        // is no padding, which is all that aya asks for.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}

        const _: fn() = || {
            fn is_pod<T: bytemuck::Pod>() {}
            is_pod::<$type>();
        };
    };
}
pub(crate) use shared;

//! The tunnel's wire format: GUE version 0 over UDP with private data (draft-ietf-intarea-gue-09,
//! section 3), and its one overhead.
//!
//! ```text
//! Ethernet | IPv4 (DF) or IPv6 | UDP | GUE (4 bytes) | private data (12 bytes) | the inner IP packet
//! ```

use bytemuck::{Pod, Zeroable};

use crate::{Be16, Be32, shared};

/// The tunnel's UDP port unless `--tunnel-port` says otherwise (IANA: `gue`).
pub const TUNNEL_PORT: u16 = 6080;
/// The version of [`TunnelData`]. Readers accept it and the one before.
pub const TUNNEL_VERSION: u8 = 1;
/// The most nodes that may still be asked after the one a packet is sent to.
pub const MAX_HOPS: u8 = 2;
/// Bytes of the GUE header with its private data.
pub const GUE_LEN: usize = 16;

/// Bytes that an IPv4 outer header adds: IPv4, UDP, GUE.
pub const TUNNEL_OVERHEAD_V4: u16 = 20 + 8 + 16;
/// Bytes that an IPv6 outer header adds: IPv6, UDP, GUE.
pub const TUNNEL_OVERHEAD_V6: u16 = 40 + 8 + 16;
/// The larger of the two, from which the listener's MSS comes.
pub const TUNNEL_OVERHEAD_MAX: u16 = TUNNEL_OVERHEAD_V6;

/// The GUE header with its private data.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct GueHeader {
    /// Version 0 (2 bits), control 0 (1 bit), length of what follows the first four bytes in 32-bit words (5 bits).
    pub version_hlen: u8,
    /// The inner packet's IP protocol number: 4 (IPv4) or 41 (IPv6).
    pub proto: u8,
    /// No flag is used: 0.
    pub flags: Be16,
    /// Ours.
    pub data: TunnelData,
}

shared!(GueHeader, GUE_LEN);

impl GueHeader {
    /// `version_hlen` of the one form that is sent and accepted: version 0, no control message, three words.
    pub const VERSION_HLEN: u8 = 3;
}

/// The private data.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Pod, Zeroable)]
pub struct TunnelData {
    /// [`TUNNEL_VERSION`].
    pub version: u8,
    /// How many of the next hops may still be asked.
    pub hops_left: u8,
    /// Low 16 bits of the sender's membership hash. For a counter only.
    pub generation: Be16,
    /// Number of the node to ask next; 0: none.
    pub next1: Be16,
    /// Number of the node to ask after that; 0: none.
    pub next2: Be16,
    /// The tunnel key, derived from the pool's secret.
    pub key: Be32,
}

shared!(TunnelData, 12);

//! The tunnel's own header: GUE version 0 with private data. Its form is in `ingress-common`.

use ingress_common::{Be16, GueHeader, Settings, TUNNEL_VERSION, TunnelData};

use crate::select::Hops;

/// The header that carries an inner packet of IP protocol number `proto` to a node, with the nodes to ask
/// after it.
#[inline(always)]
pub fn tunnel_header(proto: u8, hops: Hops, settings: &Settings) -> GueHeader {
    let [key, _] = settings.tunnel_keys;
    GueHeader {
        version_hlen: GueHeader::VERSION_HLEN,
        proto,
        flags: Be16::new(0),
        data: TunnelData {
            version: TUNNEL_VERSION,
            hops_left: hops.left(),
            generation: Be16::new(settings.generation),
            next1: Be16::new(hops.next1),
            next2: Be16::new(hops.next2),
            key,
        },
    }
}

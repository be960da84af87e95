//! The ports that lie inline in a VIP address.

use ingress_common::{Be16, PortPolicy, Reason, VipAddress, VipPort};

/// What serves a port of this address.
#[inline(always)]
pub(crate) fn find(address: &VipAddress, port: Be16, proto: u8) -> Option<VipPort> {
    for (index, entry) in address.ports.iter().enumerate() {
        if index == usize::from(address.count) {
            return None;
        }
        if entry.port == port && entry.proto == proto {
            return Some(*entry);
        }
    }
    None
}

/// What becomes of a packet for a port that this address does not serve.
#[inline(always)]
pub(crate) const fn not_served(address: &VipAddress) -> Reason {
    if address.policy == PortPolicy::Pass as u8 {
        Reason::PortPassed
    } else {
        Reason::NoPort
    }
}

//! The eBPF programs: entries, and the one match from a reason to what the kernel does.
//!
//! What is decided about a packet is decided in the library; this shell gives it the packet and the maps.

#![no_std]
#![no_main]

mod maps;

use aya_ebpf::bindings::{sk_action, xdp_action};
use aya_ebpf::macros::{sk_lookup, xdp};
use aya_ebpf::programs::{SkLookupContext, XdpContext};

/// The programs call GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Every frame that an interface receives.
#[xdp]
fn ingress_xdp(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The same for interfaces whose frames span several buffers (jumbo frames).
#[xdp(frags)]
fn ingress_frags(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Every connection that the kernel looks a socket up for.
#[sk_lookup]
fn ingress_steer(_context: SkLookupContext) -> u32 {
    sk_action::SK_PASS
}

/// A panic that can be reached is an endless loop, which the verifier refuses to load.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

//! The eBPF programs: entries, and the one match from a reason to what the kernel does.
//!
//! What is decided about a packet is decided in the library; this shell gives it the packet and the maps.
//!
//! What they need of a kernel, by the release that has it: instructions of BPF v3 (5.1), sockets looked up from
//! XDP (5.2, SYN cookies too), `sk_lookup` (5.9), a coarse clock (5.11), frames of several buffers (5.18, for
//! `ingress_frags` alone). The project asks for 6.1 for the agent's sake.

#![no_std]
#![no_main]

mod frame;
mod maps;
mod sockets;
mod stack;

use aya_ebpf::bindings::{sk_action, xdp_action};
use aya_ebpf::macros::{sk_lookup, xdp};
use aya_ebpf::programs::{SkLookupContext, XdpContext};
use ingress_common::{Reason, Verdict};
use ingress_ebpf::{Steer, ingress, steer};

use crate::frame::Frame;
use crate::maps::Maps;

/// The programs call helpers that only GPL-compatible ones may call.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Every frame that an interface receives.
#[xdp]
#[inline(always)]
fn ingress_xdp(context: XdpContext) -> u32 {
    let reason = ingress(&mut Frame::<false>(&context), &Maps(&context));
    say(&context, reason);
    action(reason)
}

/// The same for interfaces whose frames span several buffers (jumbo frames).
#[xdp(frags)]
#[inline(always)]
fn ingress_frags(context: XdpContext) -> u32 {
    let reason = ingress(&mut Frame::<true>(&context), &Maps(&context));
    say(&context, reason);
    action(reason)
}

/// A log line per frame, in objects built with the feature `log`; nothing at all in others. The reason's name is
/// left to the reader: strings of many lengths are more than the verifier follows.
#[inline(always)]
fn say(context: &XdpContext, reason: Reason) {
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(
        context,
        "interface {}, reason {}",
        context.ingress_ifindex(),
        reason as u32
    );
    #[cfg(not(feature = "log"))]
    let (_, _) = (context, reason);
}

/// The one place where a reason becomes what the kernel does.
#[inline(always)]
fn action(reason: Reason) -> u32 {
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Tx => xdp_action::XDP_TX,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// Every connection that the kernel looks a socket up for.
#[sk_lookup]
#[inline(always)]
fn ingress_steer(context: SkLookupContext) -> u32 {
    let (local, port, proto) = sockets::dialled(&context);
    match steer(&local, maps::vip_address(&local), port, proto) {
        Steer::Pass => sk_action::SK_PASS,
        Steer::Assign(listener) if maps::assign(&context, listener).is_ok() => sk_action::SK_PASS,
        Steer::Assign(_) | Steer::Drop => sk_action::SK_DROP,
    }
}

/// A panic that can be reached is an endless loop, which the verifier refuses to load.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

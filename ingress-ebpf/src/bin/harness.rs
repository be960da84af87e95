//! The entry programs of `cargo xtask bench l4`.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on what its last run left of the packet, so a program that
//! encapsulates sees its own output from the second run on. [`harness`] stands in front: it gives the
//! packet its length and its changed bytes back, perhaps makes it the next flow's, and tail-calls the
//! unmodified program under test. The other programs are what the measurements are held against.

#![no_std]
#![no_main]

use core::mem::size_of;

use aya_ebpf::bindings::{bpf_sock_tuple, xdp_action};
use aya_ebpf::btf_maps::{PerCpuArray, ProgramArray};
use aya_ebpf::helpers::{bpf_sk_release, bpf_skc_lookup_tcp, bpf_xdp_adjust_head};
use aya_ebpf::macros::{btf_map, sk_lookup, xdp};
use aya_ebpf::programs::{SkLookupContext, XdpContext};
use aya_ebpf::{Global, bindings::sk_action};

/// The programs call helpers that only GPL-compatible ones may call.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The frame's length before the program under test.
#[unsafe(no_mangle)]
static LENGTH: Global<u32> = Global::new(0);
/// Where the bytes lie that an Ethernet header was written over, or that are one: whole words up to it, and
/// then its last two bytes alone if they are not the end of a word. What the program under test reads must
/// not have been written in parts: the processor would wait for them to reach the cache.
#[unsafe(no_mangle)]
static HEAD_AT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HEAD: Global<[u32; 4]> = Global::new([0; 4]);
#[unsafe(no_mangle)]
static HEAD_ENDS_SHORT: Global<u32> = Global::new(0);
/// Where the four bytes lie that hold the TTL with its checksum, or the hop limit.
#[unsafe(no_mangle)]
static HOP_AT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HOP: Global<u32> = Global::new(0);
/// Whether the packet is restored even if it came back as it was, to see what that costs.
#[unsafe(no_mangle)]
static ALWAYS: Global<u32> = Global::new(0);
/// One less than the number of flows, a power of two.
#[unsafe(no_mangle)]
static FLOW_MASK: Global<u32> = Global::new(0);
/// The IPv4 source address of the first flow.
#[unsafe(no_mangle)]
static SOURCE: Global<u32> = Global::new(0);
/// The port that all flows go to.
#[unsafe(no_mangle)]
static PORT: Global<u32> = Global::new(0);

/// The program under test.
#[btf_map]
static TARGET: ProgramArray<1> = ProgramArray::new();
/// How many packets there were.
#[btf_map]
static COUNT: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Odd, so that its multiples are a permutation of the flows.
const SHUFFLE: u64 = 0x9e37_79b1;
/// Where the source address and the ports of IPv4 without options and without tags lie.
const SOURCE_AT: usize = 26;
const PORTS_AT: usize = 34;
/// How many flows differ by their port alone.
const PORT_BITS: u32 = 14;
const FIRST_PORT: u16 = 0x4000;

/// Restores the packet, varies it, and hands it to the program under test.
#[xdp]
#[inline(always)]
fn harness(context: XdpContext) -> u32 {
    if restore(&context).is_none() || vary(&context).is_none() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: nothing is held that would have to be dropped.
    unsafe { TARGET.tail_call(&context, 0) };
    xdp_action::XDP_ABORTED
}

#[inline(always)]
fn restore(context: &XdpContext) -> Option<()> {
    let surplus = (context.data_end() - context.data()) as i64 - i64::from(LENGTH.load());
    if surplus == 0 && ALWAYS.load() == 0 {
        return Some(());
    }
    // SAFETY: the context is this run's.
    if unsafe { bpf_xdp_adjust_head(context.ctx, surplus as i32) } != 0 {
        return None;
    }
    let at = HEAD_AT.load() as usize;
    let [a, b, c, d] = HEAD.load();
    put(context, at, a)?;
    put(context, at + 4, b)?;
    put(context, at + 8, c)?;
    if HEAD_ENDS_SHORT.load() != 0 {
        put(context, at + 12, d as u16)?;
    } else {
        put(context, at + 12, d)?;
    }
    put(context, HOP_AT.load() as usize, HOP.load())
}

/// The address's two halves change by the same amount, one up and one down: its checksum stays.
#[inline(always)]
fn vary(context: &XdpContext) -> Option<()> {
    let mask = FLOW_MASK.load();
    if mask == 0 {
        return Some(());
    }
    let count = COUNT.get_ptr_mut(0)?;
    // SAFETY: the entry is this CPU's own, and no other program runs on this CPU meanwhile.
    let count = unsafe { &mut *count };
    *count += 1;
    let flow = count.wrapping_mul(SHUFFLE) as u32 & mask;
    let port = u32::from(FIRST_PORT) | flow & ((1 << PORT_BITS) - 1);
    let host = flow >> PORT_BITS;
    put(context, SOURCE_AT, (SOURCE.load() - (host << 16) + host).to_be())?;
    put(context, PORTS_AT, (port << 16 | PORT.load()).to_be())
}

#[inline(always)]
fn put<T>(context: &XdpContext, at: usize, value: T) -> Option<()> {
    let place = context.data() + at;
    if place + size_of::<T>() > context.data_end() {
        return None;
    }
    // SAFETY: the bytes were just held against the frame's end.
    unsafe { (place as *mut T).write_unaligned(value) };
    Some(())
}

/// What a program costs that does nothing.
#[xdp]
fn empty(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// What it costs to make room for a tunnel's headers, and the harness to take it back.
#[xdp]
fn grow(context: XdpContext) -> u32 {
    // SAFETY: the context is this run's.
    match unsafe { bpf_xdp_adjust_head(context.ctx, -TUNNEL_OVERHEAD) } {
        0 => xdp_action::XDP_TX,
        _ => xdp_action::XDP_ABORTED,
    }
}

const TUNNEL_OVERHEAD: i32 = ingress_common::TUNNEL_OVERHEAD_V4 as i32;

/// What the test for an established socket costs alone. The addresses and ports of a frame with IPv4
/// without options lie as the helper wants them.
#[xdp]
fn socket_test(context: XdpContext) -> u32 {
    let place = context.data() + SOURCE_AT;
    if place + TUPLE_LENGTH as usize > context.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the bytes were just held against the frame's end, and the helper is given their number.
    let socket = unsafe {
        bpf_skc_lookup_tcp(
            context.ctx.cast(),
            place as *mut bpf_sock_tuple,
            TUPLE_LENGTH,
            CURRENT_NETNS,
            0,
        )
    };
    if socket.is_null() {
        return xdp_action::XDP_DROP;
    }
    // SAFETY: the socket was just looked up, with a reference that is ours to give back.
    unsafe { bpf_sk_release(socket.cast()) };
    xdp_action::XDP_PASS
}

/// Two IPv4 addresses and two ports.
const TUPLE_LENGTH: u32 = 12;
/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: u64 = u64::MAX;

/// What an `sk_lookup` program costs that does nothing.
#[sk_lookup]
fn empty_steer(_context: SkLookupContext) -> u32 {
    sk_action::SK_PASS
}

/// A panic that can be reached is an endless loop, which the verifier refuses to load.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

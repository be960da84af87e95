//! The kernel's socket table, asked about one segment; and what it asks about a connection.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_F_CURRENT_NETNS, bpf_sock, bpf_sock_tuple};
use aya_ebpf::helpers::{bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_check_syncookie};
use aya_ebpf::programs::{SkLookupContext, XdpContext};
use ingress_common::{Be16, Be32, Family, Ip};
use ingress_ebpf::Socket;
use ingress_ebpf::header::{IpHeader, TcpHeader};

use crate::stack::{Words, pairs};

/// `TCP_LISTEN` of the kernel's include/net/tcp_states.h.
const LISTEN: u32 = 10;

/// What the kernel knows of the connection that the segment belongs to. The reference to the socket is given
/// back before this returns.
#[inline(always)]
pub(crate) fn ask<H: IpHeader>(context: &XdpContext, ip: &H, tcp: &TcpHeader, cookie: Option<u16>) -> Socket {
    let [s0, s1] = pairs(&ip.source());
    let [d0, d1] = pairs(&ip.destination());
    let ports = u64::from(tcp.source.to_wire()) | u64::from(tcp.destination.to_wire()) << 16;
    let sock = match H::FAMILY {
        Family::V4 => lookup::<_, 12>(
            context,
            Words::<2>::new().fill([s1 >> 32 | d1 >> 32 << 32, ports]),
        ),
        Family::V6 => lookup::<_, 36>(context, Words::<5>::new().fill([s0, s1, d0, d1, ports])),
    };
    if sock.is_null() {
        return Socket::None;
    }
    // SAFETY: it is not null, so it is a socket, held until it is released below.
    let state = unsafe { (*sock).state };
    let answer = if state == LISTEN {
        Socket::Listener {
            cookie: cookie.is_some_and(|offset| is_cookie::<H>(context, sock, offset)),
        }
    } else {
        Socket::Connection
    };
    // SAFETY: the lookup gave a reference, and this is the only place that gives it back.
    unsafe { bpf_sk_release(sock.cast()) };
    answer
}

/// Looks a connection up by its `bpf_sock_tuple`, source, destination and both ports, of `LENGTH` bytes, which
/// tell the family.
#[inline(always)]
fn lookup<const WORDS: usize, const LENGTH: u32>(
    context: &XdpContext,
    tuple: &mut Words<WORDS>,
) -> *mut bpf_sock {
    const { assert!(LENGTH as usize <= WORDS * 8) };
    // SAFETY: the context is the kernel's, and the tuple is at least of the length given.
    unsafe {
        bpf_skc_lookup_tcp(
            context.as_ptr(),
            tuple.as_mut_ptr().cast::<bpf_sock_tuple>(),
            LENGTH,
            BPF_F_CURRENT_NETNS as u64,
            0,
        )
    }
}

/// Whether the segment whose IP header begins `offset` bytes into the frame acknowledges a SYN cookie of this
/// listener.
#[inline(always)]
fn is_cookie<H: IpHeader>(context: &XdpContext, listener: *mut bpf_sock, offset: u16) -> bool {
    let start = context.data() as *mut u8;
    let ip = start.wrapping_add(usize::from(offset));
    let tcp = ip.wrapping_add(size_of::<H>());
    if tcp.wrapping_add(size_of::<TcpHeader>()) > context.data_end() as *mut u8 {
        return false;
    }
    // SAFETY: the listener is held by the caller, and both headers lie in the frame, as just compared.
    let verdict = unsafe {
        bpf_tcp_check_syncookie(
            listener.cast(),
            ip.cast(),
            size_of::<H>() as u32,
            tcp.cast(),
            size_of::<TcpHeader>() as u32,
        )
    };
    verdict == 0
}

/// `AF_INET` of the kernel's include/linux/socket.h.
const AF_INET: u32 = 2;

/// The address, port and IP protocol number that a connection is for.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "ports have 16 bits, protocol numbers 8"
)]
pub(crate) fn dialled(context: &SkLookupContext) -> (Ip, Be16, u8) {
    // The loads are volatile and in a row because the verifier wants each at its own constant offset of the
    // context, where the compiler would rather choose between two addresses.
    let word = |field: *const u32| {
        // SAFETY: the callers below name fields of the context that the kernel called the program with.
        unsafe { field.read_volatile() }
    };
    let dialled = context.lookup;
    // SAFETY: this names a field of the context.
    let family = word(unsafe { &raw const (*dialled).family });
    // SAFETY: as above.
    let protocol = word(unsafe { &raw const (*dialled).protocol });
    // SAFETY: as above.
    let port = word(unsafe { &raw const (*dialled).local_port });
    // SAFETY: as above.
    let v4 = word(unsafe { &raw const (*dialled).local_ip4 });
    // SAFETY: as above.
    let v6 = unsafe { &raw const (*dialled).local_ip6 }.cast::<u32>();
    let v6 = [0, 1, 2, 3].map(|index| Be32::from_wire(word(v6.wrapping_add(index))));
    let local = if family == AF_INET {
        Ip::v4(Be32::from_wire(v4))
    } else {
        Ip::v6(v6)
    };
    (local, Be16::new(port as u16), protocol as u8)
}

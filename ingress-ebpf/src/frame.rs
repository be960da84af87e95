//! The kernel's side of a frame: the context that an XDP program is called with.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use ingress_ebpf::{Cursor, Packet};

/// A received frame. With `FRAGS`, one that may continue in further buffers, where only the first one, which
/// holds all headers, is ever looked at.
pub(crate) struct Frame<'c, const FRAGS: bool>(pub(crate) &'c XdpContext);

impl<const FRAGS: bool> Packet for Frame<'_, FRAGS> {
    #[inline(always)]
    fn length(&self) -> u32 {
        if FRAGS {
            // SAFETY: the pointer is the context that the kernel called the program with.
            return unsafe { bpf_xdp_get_buff_len(self.0.ctx) } as u32;
        }
        (self.0.data_end() - self.0.data()) as u32
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.0.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn cursor(&mut self) -> Cursor<'_> {
        let start = self.0.data() as *mut u8;
        let end = self.0.data_end() as *mut u8;
        // SAFETY: the kernel says that the packet lies between these two, and the frame is borrowed for as
        // long as the cursor lives, so that nothing moves it meanwhile.
        unsafe { Cursor::from_raw(start, end) }
    }

    #[inline(always)]
    fn adjust_head(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the pointer is the context that the kernel called the program with, and no cursor is left.
        let result = unsafe { bpf_xdp_adjust_head(self.0.as_ptr().cast(), bytes) };
        (result == 0).then_some(())
    }
}

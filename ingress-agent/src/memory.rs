//! mimalloc as the allocator, and how it treats what is freed: connections come and go in crowds, and their memory goes
//! with them.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_long;

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_option_set, mi_option_t, mi_realloc, mi_realloc_aligned,
    mi_zalloc, mi_zalloc_aligned,
};

/// `MI_MAX_ALIGN_SIZE`, `max_align_t`'s alignment: malloc(3) gives it to every block that is as large.
const ALIGNMENT: usize = 16;

/// mimalloc. The crate of that name asks for every block by its alignment, which takes a longer way: 550 instructions
/// of a request's.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

/// Whether a block of this size is so aligned whoever asks for it.
fn is_aligned_anyway(size: usize, alignment: usize) -> bool {
    alignment <= ALIGNMENT && alignment <= size
}

// SAFETY: mimalloc's blocks are of the size asked for, aligned as asked for or as malloc(3) aligns them, and nobody
// else's until they are freed; it never unwinds.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        if is_aligned_anyway(size, alignment) {
            // SAFETY: any size may be asked for.
            unsafe { mi_malloc(size) }.cast()
        } else {
            // SAFETY: as above, and a layout's alignment is a power of two.
            unsafe { mi_malloc_aligned(size, alignment) }.cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, alignment) = (layout.size(), layout.align());
        if is_aligned_anyway(size, alignment) {
            // SAFETY: any size may be asked for.
            unsafe { mi_zalloc(size) }.cast()
        } else {
            // SAFETY: as above, and a layout's alignment is a power of two.
            unsafe { mi_zalloc_aligned(size, alignment) }.cast()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller passes a block of ours that is still held.
        unsafe { mi_free(block.cast()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let alignment = layout.align();
        if is_aligned_anyway(size, alignment) {
            // SAFETY: the caller passes a block of ours that is still held.
            unsafe { mi_realloc(block.cast(), size) }.cast()
        } else {
            // SAFETY: as above, and a layout's alignment is a power of two.
            unsafe { mi_realloc_aligned(block.cast(), size, alignment) }.cast()
        }
    }
}

/// `mi_option_purge_delay`: milliseconds until freed pages go back to the kernel, 1000 otherwise. Pages that are used
/// again at once are not meant.
const PURGE_DELAY: (mi_option_t, c_long) = (15, 100);
/// `mi_option_page_full_retain`: no pages that are full are kept at hand. Those that are come back when one of their
/// blocks is freed, and stay when all of them are.
const FULL_RETAIN: (mi_option_t, c_long) = (36, -1);

/// Makes mimalloc, version 3, give memory back. For a program whose allocator it is, before it makes threads. Measured
/// with 1,000 idle connections: 8 KiB each, against 26. Never reclaiming pages on a free gives 4 KiB, and costs 3 % of a
/// request's time.
///
/// No transparent huge pages, which mimalloc asks the kernel for: one is 2 MB where 64 KiB are in use. They took 15 MB
/// of an agent with nothing to serve, and 25 of one with 10,000 Ingresses.
pub fn give_back() {
    for (option, value) in [PURGE_DELAY, FULL_RETAIN] {
        // SAFETY: both are options of the version linked, `mimalloc.h`'s `mi_option_e`; setting one writes a long
        // and has no other precondition.
        unsafe { mi_option_set(option, value) };
    }
    // Where it cannot be, more memory is used and all else is the same. mimalloc's own option for it is read before
    // `main`.
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_in_small_pages() {
        give_back();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }

    #[test]
    fn blocks_are_aligned_hold_what_they_held_and_begin_as_zeroes() {
        for size in (1..200).chain([4096, 1 << 20]) {
            for alignment in [1, 2, 4, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, alignment).unwrap();
                // SAFETY: the layout is not empty.
                let block = unsafe { Allocator.alloc_zeroed(layout) };
                assert!(
                    !block.is_null() && block.addr().is_multiple_of(alignment),
                    "{layout:?}"
                );
                // SAFETY: it is ours, as large as that, and was filled.
                let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
                assert!(bytes.iter().all(|&byte| byte == 0), "{layout:?}");
                bytes.fill(7);
                // SAFETY: it is a block of this layout.
                let block = unsafe { Allocator.realloc(block, layout, size + 100) };
                assert!(
                    !block.is_null() && block.addr().is_multiple_of(alignment),
                    "{layout:?}"
                );
                // SAFETY: it is ours, and the first bytes were filled.
                let bytes = unsafe { std::slice::from_raw_parts(block, size) };
                assert!(bytes.iter().all(|&byte| byte == 7), "{layout:?}");
                let layout = Layout::from_size_align(size + 100, alignment).unwrap();
                // SAFETY: it is a block of this layout.
                unsafe { Allocator.dealloc(block, layout) };
                // SAFETY: the layout is not empty.
                let block = unsafe { Allocator.alloc(layout) };
                assert!(
                    !block.is_null() && block.addr().is_multiple_of(alignment),
                    "{layout:?}"
                );
                // SAFETY: it is a block of this layout.
                unsafe { Allocator.dealloc(block, layout) };
            }
        }
    }
}

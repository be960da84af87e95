//! How mimalloc treats what is freed: connections come and go in crowds, and their memory goes with them.

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay`: milliseconds until freed pages go back to the kernel, 1000 otherwise. Pages that are used
/// again at once are not meant.
const PURGE_DELAY: (mi_option_t, c_long) = (15, 100);
/// `mi_option_page_full_retain`: no pages that are full are kept at hand. Those that are come back when one of their
/// blocks is freed, and stay when all of them are.
const FULL_RETAIN: (mi_option_t, c_long) = (36, -1);

/// Makes mimalloc, version 3, give memory back. For a program whose allocator it is, before it makes threads. Measured
/// with 1,000 idle connections: 8 KiB each, against 26. Never reclaiming pages on a free gives 4 KiB, and costs 3 % of a
/// request's time.
pub fn give_back() {
    for (option, value) in [PURGE_DELAY, FULL_RETAIN] {
        // SAFETY: both are options of the version linked, `mimalloc.h`'s `mi_option_e`; setting one writes a long
        // and has no other precondition.
        unsafe { mi_option_set(option, value) };
    }
}

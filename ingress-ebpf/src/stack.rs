//! Values that a helper is given the address of: they lie on the stack.
//!
//! The verifier wants every access to the stack aligned to its size, although it does not in packets, and the
//! compiler is told that no access needs to be. So these are aligned for the widest access, and where the
//! compiler would put pieces together at other places, they are written in whole words.

use core::mem::MaybeUninit;

use bytemuck::Pod;
use ingress_common::Ip;

/// Whole words at an address that suits them.
#[repr(align(8))]
pub(crate) struct Words<const N: usize>(MaybeUninit<[u64; N]>);

impl<const N: usize> Words<N> {
    #[inline(always)]
    pub(crate) fn new(words: [u64; N]) -> Self {
        let mut copy = Self(MaybeUninit::uninit());
        let first = copy.0.as_mut_ptr().cast::<u64>();
        let mut index = 0;
        while index < N {
            // SAFETY: there is room for `N` words, aligned for them.
            unsafe { first.add(index).write_volatile(words[index]) };
            index += 1;
        }
        copy
    }

    /// The words as a `T` of at most their size and alignment, of which any bytes are a value.
    #[inline(always)]
    pub(crate) const fn get<T: Pod>(&self) -> &T {
        const { assert!(size_of::<T>() <= size_of::<Self>() && align_of::<T>() <= align_of::<Self>()) };
        // SAFETY: `new` wrote every word, and as just asserted they are a `T`.
        unsafe { &*self.0.as_ptr().cast::<T>() }
    }

    #[inline(always)]
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr().cast()
    }
}

/// An address as a key of the maps.
#[inline(always)]
pub(crate) fn key(address: &Ip) -> Words<2> {
    Words::new(pairs(address))
}

/// An address as two whole words, in memory's order.
#[inline(always)]
pub(crate) fn pairs(address: &Ip) -> [u64; 2] {
    let [a, b, c, d] = address.words().map(|word| u64::from(word.to_wire()));
    [a | b << 32, c | d << 32]
}

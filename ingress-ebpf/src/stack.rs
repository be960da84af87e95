//! Values that a helper is given the address of: they lie on the stack.
//!
//! The verifier wants every access to the stack aligned to its size, although it does not in packets, and the
//! compiler is told that no access needs to be. So these are aligned for the widest access, and where the
//! compiler would put pieces together at other places, they are written in whole words.

use core::mem::MaybeUninit;

use ingress_common::Ip;

/// Whole words at an address that suits them.
#[repr(align(8))]
pub(crate) struct Words<const N: usize>(MaybeUninit<[u64; N]>);

impl<const N: usize> Words<N> {
    /// Words of no value yet. They are filled where they lie: what is returned by value is copied.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[inline(always)]
    fn put(&mut self, index: usize, word: u64) {
        debug_assert!(index < N);
        // SAFETY: the callers below write as many words as there are, which are aligned for them.
        unsafe { self.0.as_mut_ptr().cast::<u64>().add(index).write_volatile(word) };
    }

    #[inline(always)]
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr().cast()
    }
}

impl Words<2> {
    #[inline(always)]
    pub(crate) fn fill(&mut self, [a, b]: [u64; 2]) -> &mut Self {
        self.put(0, a);
        self.put(1, b);
        self
    }

    /// An address as a key of the maps.
    #[inline(always)]
    pub(crate) fn key(&mut self, address: &Ip) -> &Ip {
        const { assert!(size_of::<Ip>() == size_of::<Self>() && align_of::<Ip>() <= align_of::<Self>()) };
        self.fill(pairs(address));
        // SAFETY: both words have just been written, and any bytes of that length are an address.
        unsafe { &*self.0.as_ptr().cast::<Ip>() }
    }
}

impl Words<5> {
    #[inline(always)]
    pub(crate) fn fill(&mut self, [a, b, c, d, e]: [u64; 5]) -> &mut Self {
        self.put(0, a);
        self.put(1, b);
        self.put(2, c);
        self.put(3, d);
        self.put(4, e);
        self
    }
}

/// An address as two whole words, in memory's order.
#[inline(always)]
pub(crate) fn pairs(address: &Ip) -> [u64; 2] {
    let [a, b, c, d] = address.words().map(|word| u64::from(word.to_wire()));
    [a | b << 32, c | d << 32]
}

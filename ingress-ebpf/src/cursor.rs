//! Reading and writing a packet's bytes without ever leaving them.
//!
//! A [`Cursor`] carries the two pointers that the kernel's verifier follows: where it stands and where
//! the packet ends. Each step forward compares these pointers, which is the only proof of bounds that the
//! verifier accepts, and the same comparison keeps a host slice safe. It knows nothing of headers.
//!
//! This is the library's only file with `unsafe`.

#![expect(
    unsafe_code,
    reason = "a packet's bounds are two pointers; this is the file that keeps them"
)]

use core::marker::PhantomData;

use bytemuck::Pod;

/// A place in a packet, and the packet's end.
#[derive(Debug)]
pub struct Cursor<'p> {
    at: *mut u8,
    end: *mut u8,
    packet: PhantomData<&'p mut [u8]>,
}

impl<'p> Cursor<'p> {
    /// A cursor at the start of `packet`.
    pub fn new(packet: &'p mut [u8]) -> Self {
        let range = packet.as_mut_ptr_range();
        Self {
            at: range.start,
            end: range.end,
            packet: PhantomData,
        }
    }

    /// A cursor at `start` of a packet that ends before `end`.
    ///
    /// # Safety
    ///
    /// All bytes from `start` up to `end` can be read and written for as long as `'p`, and nothing else
    /// reads or writes them meanwhile.
    #[inline(always)]
    pub const unsafe fn from_raw(start: *mut u8, end: *mut u8) -> Self {
        Self {
            at: start,
            end,
            packet: PhantomData,
        }
    }

    /// Steps over a `T` and says where it lies; `None`, and no step, if the packet ends inside it.
    #[inline(always)]
    pub fn take<T: Pod>(&mut self) -> Option<View<'p, T>> {
        let at = self.step(size_of::<T>())?;
        Some(View {
            at: at.cast_const().cast(),
            packet: PhantomData,
        })
    }

    /// Reads a `T` and steps over it; `None`, and no step, if the packet ends inside it.
    #[inline(always)]
    pub fn read<T: Pod>(&mut self) -> Option<T> {
        self.take().map(View::get)
    }

    /// Writes a `T` and steps over it; `None`, and nothing written, if the packet ends inside it.
    #[inline(always)]
    pub fn write<T: Pod>(&mut self, value: T) -> Option<()> {
        let at = self.step(size_of::<T>())?;
        // SAFETY: `step` found that the `size_of::<T>()` bytes from `at` lie in the packet, which the
        // constructor's caller says can be written. No alignment is asked for.
        unsafe { at.cast::<T>().write_unaligned(value) };
        Some(())
    }

    /// Puts what `change` makes of a `T` in its place and steps over it; `None`, and nothing written, if the
    /// packet ends inside it.
    #[inline(always)]
    pub fn modify<T: Pod>(&mut self, change: impl FnOnce(T) -> T) -> Option<()> {
        let at = self.step(size_of::<T>())?.cast::<T>();
        // SAFETY: `step` found that all of it lies in the packet, which the constructor's caller says can be
        // read and written. Any bytes are a `T`, and no alignment is asked for.
        let value = unsafe { at.read_unaligned() };
        // SAFETY: as above.
        unsafe { at.write_unaligned(change(value)) };
        Some(())
    }

    /// Steps over `bytes`, at most 65,535; `None`, and no step, if the packet ends before.
    #[inline(always)]
    pub fn skip(&mut self, bytes: u16) -> Option<()> {
        self.step(usize::from(bytes)).map(|_| ())
    }

    /// Steps over `bytes` and returns where they begin. This is the comparison that the verifier looks for.
    #[inline(always)]
    fn step(&mut self, bytes: usize) -> Option<*mut u8> {
        let at = self.at;
        let next = at.wrapping_add(bytes);
        if next > self.end {
            return None;
        }
        self.at = next;
        Some(at)
    }
}

/// A `T` where it lies in a packet.
///
/// Its fields are loaded when they are asked for. A copy would be kept through every call of a helper, of
/// which few fit registers; the packet itself is as near as the stack that the others would be put on.
#[derive(Debug)]
pub struct View<'p, T> {
    at: *const T,
    packet: PhantomData<&'p [u8]>,
}

impl<T> Clone for View<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<T: Pod> View<'_, T> {
    /// The value. Of a header only the fields that are then used are loaded.
    #[inline(always)]
    pub fn get(self) -> T {
        // SAFETY: `take` found that all of it lies in the packet, which is borrowed for as long as this
        // view lives. Any bytes are a `T`, and no alignment is asked for.
        unsafe { self.at.read_unaligned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_up_to_the_end_and_not_a_byte_further() {
        let mut bytes = [1, 2, 3, 4, 5];
        let mut cursor = Cursor::new(&mut bytes);
        assert_eq!(cursor.read::<[u8; 2]>(), Some([1, 2]));
        assert_eq!(cursor.read::<[u8; 4]>(), None);
        assert_eq!(cursor.read::<[u8; 3]>(), Some([3, 4, 5]));
        assert_eq!(cursor.read::<u8>(), None);
        assert_eq!(cursor.skip(1), None);
        assert_eq!(cursor.skip(0), Some(()));
    }

    #[test]
    fn writes_where_it_stands() {
        let mut bytes = [0; 4];
        let mut cursor = Cursor::new(&mut bytes);
        assert_eq!(cursor.skip(1), Some(()));
        assert_eq!(cursor.write([7_u8, 8]), Some(()));
        assert_eq!(cursor.write([9_u8, 9]), None);
        assert_eq!(bytes, [0, 7, 8, 0]);
    }

    #[test]
    fn changes_what_is_there() {
        let mut bytes = [1, 2, 3, 4];
        let mut cursor = Cursor::new(&mut bytes);
        assert_eq!(cursor.skip(1), Some(()));
        assert_eq!(cursor.modify(|[a, b]: [u8; 2]| [b, a + 5]), Some(()));
        assert_eq!(cursor.modify(|_: [u8; 2]| [9, 9]), None);
        assert_eq!(bytes, [1, 3, 7, 4]);
    }
}

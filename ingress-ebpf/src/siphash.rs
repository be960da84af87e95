//! SipHash-1-3 of messages that fit whole words: one round per word, three to finish.
//!
//! Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with c = 1 and d = 3: keyed, so that
//! nobody outside can aim many flows at one slot.

use ingress_common::SlotKey;

/// Hashes `words`, then `last`: the message's remaining bytes (at most seven) as a little-endian number
/// with the message's length in the top byte.
#[inline(always)]
pub fn siphash13<const N: usize>(key: &SlotKey, words: [u64; N], last: u64) -> u64 {
    let mut state = State {
        v0: key.k0 ^ 0x736f_6d65_7073_6575,
        v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
        v2: key.k0 ^ 0x6c79_6765_6e65_7261,
        v3: key.k1 ^ 0x7465_6462_7974_6573,
    };
    for word in words {
        state.compress(word);
    }
    state.compress(last);
    state.v2 ^= 0xff;
    state.round();
    state.round();
    state.round();
    state.v0 ^ state.v1 ^ state.v2 ^ state.v3
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    const fn compress(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::hash::Hasher;
    use std::hash::DefaultHasher;

    use super::*;

    /// `DefaultHasher::new` is SipHash-1-3 with a key of zeros, by another hand.
    fn reference(message: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(message);
        hasher.finish()
    }

    #[test]
    fn agrees_with_the_standard_library_at_both_lengths() {
        let key = SlotKey { k0: 0, k1: 0 };
        let message: [u8; 18] = core::array::from_fn(|index| 13 * u8::try_from(index).unwrap() + 3);
        let word = |from: usize, bytes: usize| {
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(&message[from..from + bytes]);
            u64::from_le_bytes(word)
        };
        assert_eq!(
            siphash13(&key, [], word(0, 6) | 6 << 56),
            reference(&message[..6])
        );
        assert_eq!(
            siphash13(&key, [word(0, 8), word(8, 8)], word(16, 2) | 18 << 56),
            reference(&message)
        );
    }

    #[test]
    fn the_key_matters() {
        let hashes = [(0, 0), (1, 0), (0, 1)].map(|(k0, k1)| siphash13(&SlotKey { k0, k1 }, [], 7));
        assert_ne!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], hashes[2]);
        assert_ne!(hashes[1], hashes[2]);
    }
}

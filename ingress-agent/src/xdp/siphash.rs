//! SipHash-1-3 over bytes: what a node's name is hashed by.
//!
//! The function is Aumasson and Bernstein's SipHash (<https://www.aumasson.jp/siphash/siphash.pdf>, section 2) with one
//! compression round per word and three finalisation rounds. It knows nothing of what it hashes.

use ingress_common::SlotKey;

/// The hash of a text under a key.
pub fn siphash13(key: SlotKey, bytes: &[u8]) -> u64 {
    let mut state = State::new(key);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state.compress(little_endian(word));
    }
    let length = (bytes.len() as u64) << 56;
    state.compress(length | little_endian(words.remainder()));
    state.finish()
}

/// Up to eight bytes as a number, the first the least significant.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    const fn new(key: SlotKey) -> Self {
        Self {
            v0: key.k0 ^ 0x736f_6d65_7073_6575,
            v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: key.k0 ^ 0x6c79_6765_6e65_7261,
            v3: key.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    const fn compress(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::*;

    /// The standard library's default hasher is SipHash-1-3 with a zero key.
    #[test]
    fn agrees_with_the_standard_library() {
        let text: Vec<u8> = (0..=70).collect();
        for length in 0..text.len() {
            let mut hasher = DefaultHasher::new();
            hasher.write(&text[..length]);
            assert_eq!(
                siphash13(SlotKey::default(), &text[..length]),
                hasher.finish(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn both_halves_of_the_key_count() {
        let hash = |k0, k1| siphash13(SlotKey { k0, k1 }, b"node");
        assert_ne!(hash(1, 2), hash(2, 1));
        assert_ne!(hash(1, 2), hash(1, 3));
    }
}

//! Request ids: 32 hexadecimal digits, unlike each other on all nodes.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::HeaderValue;

/// One worker's source of ids. An id identifies a request in logs; it is no secret and need not be hard to guess.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// Says which worker of which process, by the operating system's randomness.
    worker: u64,
    state: Cell<u64>,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self {
            worker: RandomState::new().hash_one("worker"),
            state: Cell::new(RandomState::new().hash_one("request")),
        }
    }

    pub(super) fn next(&self) -> HeaderValue {
        let state = self.state.get().wrapping_add(1);
        self.state.set(state);
        let mut text = [0; 32];
        let value = u128::from(self.worker) << 64 | u128::from(state.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for (digit, shift) in text.iter_mut().rev().zip((0..128).step_by(4)) {
            let nibble = u32::try_from(value >> shift & 0xf).unwrap_or_default();
            *digit = u8::try_from(char::from_digit(nibble, 16).unwrap_or('0')).unwrap_or(b'0');
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_digits_and_differ() {
        let ids = RequestIds::new();
        let (one, other) = (ids.next(), ids.next());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
        assert!(one.as_bytes().iter().all(u8::is_ascii_hexdigit));
    }
}

//! Request ids: 32 hexadecimal digits, unlike each other on all nodes.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use http::HeaderValue;

/// One worker's source of ids. An id identifies a request in logs; it is no secret and need not be hard to guess.
#[derive(Debug)]
pub(super) struct RequestIds {
    /// Says which worker of which process, by the operating system's randomness.
    worker: [u8; 16],
    state: Cell<u64>,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        Self {
            worker: digits(RandomState::new().hash_one("worker")),
            state: Cell::new(RandomState::new().hash_one("request")),
        }
    }

    pub(super) fn next(&self) -> HeaderValue {
        let state = self.state.get().wrapping_add(1);
        self.state.set(state);
        let mut text = [0; 32];
        let (worker, request) = text.split_at_mut(16);
        worker.copy_from_slice(&self.worker);
        request.copy_from_slice(&digits(state.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

/// Hexadecimal, without a loop over the digits, as every request has an id.
fn digits(value: u64) -> [u8; 16] {
    let value = u128::from(value);
    // Every half moves away from the other by its own width, until each nibble has a byte.
    let value = (value | value << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    let nibbles = (value | value << 4) & 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;
    nibbles.to_be_bytes().map(|nibble| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    })
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

    #[test]
    fn digits_are_those_of_the_number() {
        for value in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(digits(value), *format!("{value:016x}").as_bytes());
        }
    }
}

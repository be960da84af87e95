//! SipHash-1-3: what nodes' names are hashed by, and the tables that they come to.

use ingress_common::SlotKey;
use siphasher::sip::SipHasher13;

/// The hash of a text under a key: the same on every node, whatever its version.
pub(super) fn siphash13(key: SlotKey, bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(key.k0, key.k1).hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is that of the reference implementation. Another value on one node than on the others would be
    /// another slot table.
    #[test]
    fn the_values_stay() {
        let key = SlotKey {
            k0: 0x0706_0504_0302_0100,
            k1: 0x0f0e_0d0c_0b0a_0908,
        };
        let hash = |text: &str| siphash13(key, text.as_bytes());
        assert_eq!(hash(""), 0xabac_0158_050f_c4dc);
        assert_eq!(hash("node-1"), 0xba2a_5eb0_49d7_3fc5);
        assert_eq!(hash("node-number-1"), 0x5fda_228c_31d9_c185);
    }
}

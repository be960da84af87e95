//! What derives from the pool's secret: the slot hash's key and the tunnel's.

use std::fmt;

use ingress_common::{Be32, SlotKey};
use sha2::{Digest, Sha256};

use crate::model::vip::PoolSecret;

/// The keys of the data path. Zero for a single node without a secret, which hashes for itself alone and has no
/// peer to take a tunnel packet from.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Keys {
    /// Of the slot hash and of the ranks.
    pub slot: SlotKey,
    /// What a tunnel packet carries.
    pub tunnel: u32,
}

impl Keys {
    /// The keys of a secret, the same on every node that has it.
    pub fn derive(secret: &PoolSecret) -> Self {
        let [a, b, c, d, ..] = labelled(b"ingress-agent tunnel\0", secret);
        let slot = labelled(b"ingress-agent slot\0", secret);
        let (k0, k1) = slot.split_at(8);
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .take(8)
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Self {
            slot: SlotKey {
                k0: word(k0),
                k1: word(k1),
            },
            tunnel: u32::from_be_bytes([a, b, c, d]),
        }
    }
}

/// The tunnel keys that the programs take, of which they send the first: the present key, and the one before it, which
/// nodes that have not heard of the change still send. `held` is what they take now; `None` at a first start.
pub fn tunnel_keys(key: u32, held: Option<[Be32; 2]>) -> [Be32; 2] {
    let key = Be32::new(key);
    match held {
        None => [key, key],
        Some([present, before]) if present == key => [key, before],
        Some([present, _]) => [key, present],
    }
}

fn labelled(label: &[u8], secret: &PoolSecret) -> [u8; 32] {
    Sha256::new()
        .chain_update(label)
        .chain_update(secret.0)
        .finalize()
        .into()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_label() {
        let one = Keys::derive(&PoolSecret([1; 32]));
        assert_eq!(one, Keys::derive(&PoolSecret([1; 32])));
        assert_ne!(one, Keys::derive(&PoolSecret([2; 32])));
        assert_ne!(one.slot.k0, one.slot.k1);
        assert_ne!(u64::from(one.tunnel), one.slot.k0 >> 32);
        assert_eq!(format!("{one:?}"), "Keys(..)");
    }

    #[test]
    fn the_key_before_is_taken_still() {
        let first = tunnel_keys(1, None);
        assert_eq!(first, [1, 1].map(Be32::new));
        assert_eq!(tunnel_keys(1, Some(first)), first);
        let second = tunnel_keys(2, Some(first));
        assert_eq!(second, [2, 1].map(Be32::new));
        assert_eq!(tunnel_keys(2, Some(second)), second);
        assert_eq!(tunnel_keys(3, Some(second)), [3, 2].map(Be32::new));
    }

    /// SHA-256 of "ingress-agent tunnel\0" and 32 zero bytes, by `sha256sum`.
    #[test]
    fn the_tunnel_key_is_the_hash_s_beginning() {
        let hash = labelled(b"ingress-agent tunnel\0", &PoolSecret([0; 32]));
        let keys = Keys::derive(&PoolSecret([0; 32]));
        assert_eq!(keys.tunnel.to_be_bytes(), hash[..4]);
        assert_eq!(keys.tunnel, TUNNEL_OF_ZEROES);
    }

    const TUNNEL_OF_ZEROES: u32 = 0xfb19_8760;
}

//! What tells this process from all others: random bytes, and the name made of them.

use std::sync::Arc;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// The node's name and eight random bytes: of two processes on one node the later one is another.
pub(super) fn new(node: &str) -> Result<Arc<str>, Errno> {
    let random = u64::from_ne_bytes(random()?);
    Ok(Arc::from(format!("{node}_{random:016x}")))
}

/// The node of an identity.
pub(super) fn node(identity: &str) -> &str {
    identity.rsplit_once('_').map_or(identity, |(node, _)| node)
}

/// Random bytes of the kernel's, at most 256 of which come in one piece (getrandom(2)).
pub(super) fn random<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (first, second) = (new("a_b.example").unwrap(), new("a_b.example").unwrap());
        assert_ne!(first, second);
        assert_eq!(node(&first), "a_b.example");
        assert_ne!(random::<32>().unwrap(), [0; 32]);
    }
}

//! The Pods' addresses on the pod network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Last bytes of 10.2.0.x: those below are nodes', and Pods' that the lab starts without a control plane.
const LAST: RangeInclusive<u8> = 120..=250;

/// Which are given out. One that comes back is given again as late as can be.
#[derive(Debug)]
pub(super) struct Addresses {
    taken: BTreeSet<Ipv4Addr>,
    next: u8,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            taken: BTreeSet::new(),
            next: *LAST.start(),
        }
    }
}

impl Addresses {
    /// Gives one out, if one is left.
    pub(super) fn take(&mut self) -> Option<Ipv4Addr> {
        let turn = (self.next..=*LAST.end()).chain(*LAST.start()..self.next);
        let last = turn
            .into_iter()
            .find(|last| !self.taken.contains(&address(*last)))?;
        self.next = if last == *LAST.end() {
            *LAST.start()
        } else {
            last + 1
        };
        self.taken.insert(address(last));
        Some(address(last))
    }

    /// Takes one back.
    pub(super) fn put_back(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 2, 0, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_again_as_late_as_can_be() {
        let mut addresses = Addresses::default();
        let first = addresses.take().unwrap();
        addresses.put_back(first);
        let mut given = Vec::from_iter(std::iter::from_fn(|| addresses.take()));
        assert_eq!(given.len(), LAST.count());
        assert_eq!(given.last(), Some(&first));
        given.dedup();
        assert_eq!(given.len(), LAST.count());
    }
}

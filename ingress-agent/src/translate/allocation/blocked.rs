//! Addresses that a pool names and may not hand out.

use std::sync::Arc;

use crate::digest::vippool::Range;
use crate::digest::{Cause, Fault, Nodes, Pool};

/// What no pool may hand out: nodes' own addresses, and older pools' ranges.
pub(super) struct Blocked {
    nodes: Vec<(Arc<str>, Range)>,
    pools: Vec<(Arc<str>, Vec<Range>)>,
}

impl Blocked {
    pub(super) fn new(nodes: &Nodes) -> Self {
        let members = nodes.nodes.iter().map(|node| &node.member);
        let addresses =
            members.flat_map(|member| member.addresses.iter().map(move |address| (member, *address)));
        Self {
            nodes: addresses
                .map(|(member, address)| (Arc::clone(&member.name), Range::single(address)))
                .collect(),
            pools: Vec::new(),
        }
    }

    /// The pool's addresses are its own from now on.
    pub(super) fn add(&mut self, pool: &Pool) {
        self.pools
            .push((Arc::clone(&pool.object.name), pool.ranges.clone()));
    }

    /// All of it.
    pub(super) fn ranges(&self) -> impl Iterator<Item = &Range> {
        let nodes = self.nodes.iter().map(|(_, range)| range);
        nodes.chain(self.pools.iter().flat_map(|(_, ranges)| ranges))
    }

    /// Which of a pool's addresses it cannot hand out.
    pub(super) fn faults(&self, pool: &Pool) -> Vec<Fault> {
        let ranges = &pool.ranges;
        let overlap = |other: &Range| ranges.iter().find_map(|range| range.overlap(other));
        let nodes = self.nodes.iter().filter_map(|(name, range)| {
            overlap(range)?;
            let whose = format!("{}, which is node `{name}`'s own address", range.first);
            Some(blocked_address(
                Cause::PoolNodeAddress,
                whose,
                "addresses that no node has",
            ))
        });
        let pools = self.pools.iter().filter_map(|(name, others)| {
            let shared = others.iter().find_map(overlap)?;
            let shared = if shared.first == shared.last {
                shared.first.to_string()
            } else {
                format!("{} to {}", shared.first, shared.last)
            };
            let whose = format!("{shared}, which VipPool {name} has already");
            Some(blocked_address(
                Cause::PoolOverlap,
                whose,
                "addresses that no older pool has",
            ))
        });
        nodes.chain(pools).collect()
    }
}

fn blocked_address(cause: Cause, found: String, expected: &'static str) -> Fault {
    Fault::refused(cause, "spec.addresses")
        .found(found)
        .expected(expected)
        .so("these addresses are not handed out by this pool")
        .change("take them out of the pool's addresses")
}

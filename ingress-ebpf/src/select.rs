//! Which node is asked, and who after it.
//!
//! A slot names three nodes, a tunnel packet up to two more to ask. Both are walked the same way: the first
//! that this VIP and this node hold to be alive is taken, and the ones behind it are named to it unseen; it
//! judges them by its own tables when it needs them. That works because an index into a VIP's backend map is
//! the node's number (`ingress_common::Backend`).

use ingress_common::{BackendState, MAX_HOPS, Node, NodeState, Slot, TunnelData};

use crate::Tables;

/// The nodes to ask after the one that has the packet. 0: none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hops {
    pub(crate) next1: u16,
    pub(crate) next2: u16,
}

impl Hops {
    /// What a tunnel header names, at most as many as it says are left.
    #[inline(always)]
    pub(crate) fn named(data: &TunnelData) -> Self {
        let hops = Self {
            next1: data.next1.get(),
            next2: data.next2.get(),
        };
        match (data.hops_left, hops.next1) {
            (0, _) => Self::default(),
            (1, 1..) => Self { next2: 0, ..hops },
            _ => hops,
        }
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) const fn left(self) -> u8 {
        (self.next1 != 0) as u8 + (self.next2 != 0) as u8
    }

    /// The first of them, and those behind it.
    #[inline(always)]
    const fn shift(self) -> (u16, Self) {
        (
            self.next1,
            Self {
                next1: self.next2,
                next2: 0,
            },
        )
    }
}

/// The node a packet goes to, and whom it may ask then.
#[derive(Debug)]
pub(crate) struct Target<'t> {
    pub(crate) number: u16,
    pub(crate) node: &'t Node,
    pub(crate) hops: Hops,
}

/// The best node of a slot.
#[inline(always)]
pub(crate) fn first<T: Tables>(tables: &T, vip: u16, slot: Slot) -> Option<Target<'_>> {
    let mut number = slot.owner;
    let mut hops = Hops {
        next1: slot.next1,
        next2: slot.next2,
    };
    for _ in 0..=MAX_HOPS {
        if let Some(node) = alive(tables, vip, number) {
            return Some(Target { number, node, hops });
        }
        (number, hops) = hops.shift();
    }
    None
}

/// The best of the nodes that are left to ask, which this node, `own`, is not.
#[inline(always)]
pub(crate) fn next<T: Tables>(tables: &T, vip: u16, own: u16, hops: Hops) -> Option<Target<'_>> {
    let (mut number, mut hops) = hops.shift();
    for _ in 0..MAX_HOPS {
        if number != own
            && let Some(node) = alive(tables, vip, number)
        {
            return Some(Target { number, node, hops });
        }
        (number, hops) = hops.shift();
    }
    None
}

/// The node of that number, if neither the VIP nor this node holds it to be absent or down. It is looked up by
/// its index in the VIP's map, which is its number, so that neither lookup waits for the other.
#[inline(always)]
fn alive<T: Tables>(tables: &T, vip: u16, number: u16) -> Option<&Node> {
    if number == 0 {
        return None;
    }
    let backend = tables.backend(vip, number)?;
    if backend.state != BackendState::Active as u8 && backend.state != BackendState::Draining as u8 {
        return None;
    }
    let node = tables.node(number)?;
    (node.state == NodeState::Local as u8 || node.state == NodeState::Peer as u8).then_some(node)
}

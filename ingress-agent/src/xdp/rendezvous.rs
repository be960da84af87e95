//! Rendezvous hashing: from a pool's members to its slot table.
//!
//! Each member has a score for each slot; a slot names the three members with the highest. A score depends on
//! the member's name and the slot alone, so the table is a pure function of the membership: members that stay
//! keep their order, whoever comes or goes. (Thaler and Ravishankar, "Using name-based mappings to increase hit
//! rates", 1998.) In: members and the slot key. Out: a table. It knows no addresses, no maps and no history.

use std::sync::Arc;

use ingress_common::{Slot, SlotKey, SlotTable};

use super::siphash::siphash13;

/// A member of a pool, as the ranks see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// What is hashed. Unique in a pool.
    pub name: Arc<str>,
    /// The node's number, which the table names it by. Unique in a pool, never 0.
    pub number: u16,
    /// Whether it is given new connections; else it is draining.
    pub active: bool,
}

/// The slot table of these candidates, in whatever order they come.
///
/// A slot's owner is its best active candidate, or its best one when none is active; `next1` and `next2` are the
/// best of the others, draining ones included. Without candidates every slot is nobody's.
pub fn table(key: SlotKey, candidates: &[Candidate]) -> Box<SlotTable> {
    let mut named: Vec<&Candidate> = candidates.iter().collect();
    // Of equal scores the name that sorts first wins, because a later one has to be better.
    named.sort_by(|a, b| a.name.cmp(&b.name));
    let seats: Vec<Seat> = named
        .into_iter()
        .map(|candidate| Seat::new(key, candidate))
        .collect();
    let mut table: Box<SlotTable> = bytemuck::allocation::zeroed_box();
    for (slot, number) in table.slots.iter_mut().zip(0u64..) {
        *slot = best(&seats, number);
    }
    table
}

/// A hash of a whole table: equal on all nodes that know the same membership.
pub fn digest(table: &SlotTable) -> u64 {
    siphash13(SlotKey::default(), bytemuck::bytes_of(table))
}

/// A candidate, hashed.
struct Seat {
    hash: u64,
    number: u16,
    active: bool,
}

impl Seat {
    fn new(key: SlotKey, candidate: &Candidate) -> Self {
        Self {
            hash: siphash13(key, candidate.name.as_bytes()),
            number: candidate.number,
            active: candidate.active,
        }
    }
}

/// A seat's number with its score, which is never 0. The default is nobody, whom everybody beats.
#[derive(Clone, Copy, Default)]
struct Ranked {
    score: u64,
    number: u16,
}

fn best(seats: &[Seat], slot: u64) -> Slot {
    let (mut first, mut second, mut third) = (Ranked::default(), Ranked::default(), Ranked::default());
    let mut owner = Ranked::default();
    for seat in seats {
        let ranked = Ranked {
            score: mix(seat.hash ^ slot) | 1,
            number: seat.number,
        };
        if ranked.beats(third) {
            if ranked.beats(first) {
                (first, second, third) = (ranked, first, second);
            } else if ranked.beats(second) {
                (second, third) = (ranked, second);
            } else {
                third = ranked;
            }
        }
        if seat.active && ranked.beats(owner) {
            owner = ranked;
        }
    }
    let owner = if owner.number == 0 {
        first.number
    } else {
        owner.number
    };
    let (next1, next2) = match owner {
        owner if owner == first.number => (second.number, third.number),
        owner if owner == second.number => (first.number, third.number),
        _ => (first.number, second.number),
    };
    Slot { owner, next1, next2 }
}

impl Ranked {
    const fn beats(self, other: Self) -> bool {
        self.score > other.score
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014,
/// with Stafford's thirteenth constants): every bit of the input moves every bit of the score.
const fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}

#[cfg(test)]
mod tests;

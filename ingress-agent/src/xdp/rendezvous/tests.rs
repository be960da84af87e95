use std::collections::BTreeMap;
use std::time::Instant;

use ingress_common::SLOTS;
use proptest::prelude::*;

use super::*;

const KEY: SlotKey = SlotKey { k0: 7, k1: 11 };

fn candidate(number: u16, active: bool) -> Candidate {
    Candidate {
        name: Arc::from(format!("node-{number}")),
        number,
        active,
    }
}

fn active(numbers: impl IntoIterator<Item = u16>) -> Vec<Candidate> {
    numbers
        .into_iter()
        .map(|number| candidate(number, true))
        .collect()
}

/// One to eight members, some draining.
fn members() -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::btree_map(1u16..200, any::<bool>(), 1..8).prop_map(|members| {
        members
            .into_iter()
            .map(|(number, active)| candidate(number, active))
            .collect()
    })
}

fn listed(slot: Slot) -> [u16; 3] {
    [slot.owner, slot.next1, slot.next2]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_the_input_does_not_count(mut candidates in members()) {
        let forward = table(KEY, &candidates);
        candidates.reverse();
        prop_assert_eq!(digest(&forward), digest(&table(KEY, &candidates)));
    }

    #[test]
    fn a_slot_names_as_many_as_there_are_and_nobody_twice(candidates in members()) {
        let table = table(KEY, &candidates);
        for slot in &table.slots {
            let mut named: Vec<u16> = listed(*slot).into_iter().filter(|number| *number != 0).collect();
            prop_assert_eq!(named.len(), candidates.len().min(3));
            named.sort_unstable();
            named.dedup();
            prop_assert_eq!(named.len(), candidates.len().min(3));
            let owner = candidates.iter().find(|candidate| candidate.number == slot.owner).unwrap();
            prop_assert!(owner.active || candidates.iter().all(|candidate| !candidate.active));
        }
    }

    #[test]
    fn a_leaver_moves_only_its_own_slots(candidates in members(), leaver in any::<prop::sample::Index>()) {
        prop_assume!(candidates.len() > 1);
        let leaver = leaver.index(candidates.len());
        let gone = candidates[leaver].number;
        let mut rest = candidates.clone();
        rest.remove(leaver);
        prop_assume!(rest.iter().any(|candidate| candidate.active));
        let (before, after) = (table(KEY, &candidates), table(KEY, &rest));
        for (old, new) in before.slots.iter().zip(&after.slots) {
            if old.owner != gone {
                prop_assert_eq!(old.owner, new.owner);
            }
        }
    }

    #[test]
    fn a_joiner_takes_slots_and_their_owners_are_next(candidates in members(), joiner in 200u16..300) {
        prop_assume!(candidates.iter().any(|candidate| candidate.active));
        let mut more = candidates.clone();
        more.push(candidate(joiner, true));
        let (before, after) = (table(KEY, &candidates), table(KEY, &more));
        let active = candidates.iter().filter(|candidate| candidate.active).count();
        for (old, new) in before.slots.iter().zip(&after.slots) {
            if new.owner != joiner {
                prop_assert_eq!(old.owner, new.owner, "a slot moved between nodes that stay");
            } else if active == candidates.len() {
                prop_assert_eq!(old.owner, new.next1);
            } else {
                // Draining members that rank above the old owner are asked before it.
                prop_assert!(listed(*new).contains(&old.owner) || candidates.len() > 2);
            }
        }
    }

    #[test]
    fn a_drained_node_is_next(count in 2u16..8, drained in 1u16..8) {
        prop_assume!(drained <= count);
        let before = table(KEY, &active(1..=count));
        let drained_too: Vec<_> = (1..=count).map(|number| candidate(number, number != drained)).collect();
        let after = table(KEY, &drained_too);
        for (old, new) in before.slots.iter().zip(&after.slots) {
            if old.owner == drained {
                prop_assert_eq!(new.next1, drained);
                prop_assert_eq!(new.owner, old.next1);
            } else {
                prop_assert_eq!(new.owner, old.owner);
            }
        }
    }
}

#[test]
fn all_draining_is_better_than_nobody() {
    let all = table(KEY, &[candidate(1, false), candidate(2, false)]);
    assert!(
        all.slots
            .iter()
            .all(|slot| slot.owner != 0 && slot.next1 != 0 && slot.next2 == 0)
    );
}

#[test]
fn nobody_owns_an_empty_pool() {
    assert!(table(KEY, &[]).slots.iter().all(|slot| *slot == Slot::default()));
}

/// DESIGN's figures: the largest share is 1.002 of the mean at 3 nodes, 1.02 at 10, 1.09 at 100.
#[test]
fn shares_are_balanced() {
    for (count, limit) in [(3u16, 1.02), (10, 1.05), (100, 1.15)] {
        let mut shares = BTreeMap::<u16, u32>::new();
        for slot in &table(KEY, &active(1..=count)).slots {
            *shares.entry(slot.owner).or_default() += 1;
        }
        let mean = SLOTS as f64 / f64::from(count);
        let largest = f64::from(*shares.values().max().unwrap());
        assert_eq!(shares.len(), usize::from(count));
        assert!(largest / mean < limit, "{count} nodes: {}", largest / mean);
    }
}

#[test]
fn the_key_decides() {
    let other = SlotKey { k0: 7, k1: 12 };
    assert_ne!(
        digest(&table(KEY, &active(1..=5))),
        digest(&table(other, &active(1..=5)))
    );
}

/// Limits of the design for an optimised build: 5 ms at 10 nodes, 150 ms at 1,000.
#[test]
fn a_full_build_is_quick() {
    for (count, limit) in [(10u16, 5), (1_000, 150)] {
        let candidates = active(1..=count);
        let start = Instant::now();
        std::hint::black_box(table(KEY, &candidates));
        let took = start.elapsed();
        eprintln!("{count} nodes: {took:?}");
        // A debug build, or a machine shared with other tests, is not held to the figure itself.
        let slack = if cfg!(debug_assertions) { 60 } else { 4 };
        assert!(took.as_millis() < limit * slack, "{count} nodes: {took:?}");
    }
}

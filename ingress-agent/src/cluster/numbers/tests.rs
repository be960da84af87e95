use proptest::prelude::*;

use super::*;
use crate::digest::node::NUMBER_REST;

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn leases(all: &[(&str, u16)]) -> BTreeMap<Arc<str>, Option<NonZeroU16>> {
    let lease = |(node, number): &(&str, u16)| (Arc::from(*node), NonZeroU16::new(*number));
    all.iter().map(lease).collect()
}

/// What is given: the node and its number, 0 for none.
fn given(numbers: &mut Numbers, all: &[(&str, u16)], second: u64) -> Vec<(String, u16)> {
    let given = numbers.assign(&leases(all), at(second)).into_iter();
    given
        .map(|given| (given.node.to_string(), given.number.map_or(0, NonZeroU16::get)))
        .collect()
}

fn at(second: u64) -> Duration {
    Duration::from_secs(1000 + second)
}

fn pairs(all: &[(&str, u16)]) -> Vec<(String, u16)> {
    all.iter()
        .map(|(node, number)| ((*node).to_owned(), *number))
        .collect()
}

/// Hands the record from one leader to the next.
fn next_leader(last: &Numbers, second: u64) -> Numbers {
    let mut next = Numbers::new(NUMBER_REST);
    next.adopt(Some(&last.record(at(second))), at(second));
    next
}

#[test]
fn everybody_is_given_a_number_and_keeps_it() {
    let mut numbers = Numbers::new(NUMBER_REST);
    assert_eq!(
        given(&mut numbers, &[("a", 0), ("b", 0), ("c", 2)], 0),
        pairs(&[("a", 1), ("b", 3)])
    );
    // What was written is not seen yet: the same is written again, and nothing else.
    assert_eq!(
        given(&mut numbers, &[("a", 0), ("b", 3), ("c", 2)], 0),
        pairs(&[("a", 1)])
    );
    assert_eq!(given(&mut numbers, &[("a", 1), ("b", 3), ("c", 2)], 0), []);
    let mut next = next_leader(&numbers, 5);
    assert_eq!(given(&mut next, &[("a", 1), ("b", 3), ("c", 2)], 5), []);
    // Without a record too: the Leases say it.
    let mut next = Numbers::new(NUMBER_REST);
    next.adopt(None, at(5));
    assert_eq!(given(&mut next, &[("a", 1), ("b", 3), ("c", 2)], 5), []);
}

#[test]
fn a_number_rests_for_ten_minutes_over_leaders_too() {
    let mut numbers = Numbers::new(NUMBER_REST);
    given(&mut numbers, &[("a", 1), ("b", 2)], 0);
    // Node a's Lease is deleted.
    assert_eq!(given(&mut numbers, &[("b", 2)], 100), []);
    let mut numbers = next_leader(&numbers, 400);
    assert_eq!(
        given(&mut numbers, &[("b", 2), ("c", 0)], 698),
        pairs(&[("c", 3)])
    );
    assert_eq!(
        given(&mut numbers, &[("b", 2), ("c", 3), ("d", 0)], 702),
        pairs(&[("d", 1)])
    );
}

#[test]
fn a_node_that_returns_is_given_what_it_had() {
    let mut numbers = Numbers::new(NUMBER_REST);
    given(&mut numbers, &[("a", 1), ("b", 2)], 0);
    given(&mut numbers, &[("a", 1)], 1);
    let mut numbers = next_leader(&numbers, 100);
    assert_eq!(
        given(&mut numbers, &[("a", 1), ("b", 0)], 101),
        pairs(&[("b", 2)])
    );
    assert_eq!(given(&mut numbers, &[("a", 1), ("b", 2)], 102), []);
    // It rests no more, and rests anew when it goes again.
    given(&mut numbers, &[("a", 1)], 500);
    assert_eq!(
        given(&mut numbers, &[("a", 1), ("c", 0)], 1098),
        pairs(&[("c", 3)])
    );
}

/// Deleted while nobody led.
#[test]
fn a_number_that_was_in_use_under_the_last_leader_rests() {
    let mut numbers = Numbers::new(NUMBER_REST);
    given(&mut numbers, &[("a", 1), ("b", 2)], 0);
    let mut numbers = next_leader(&numbers, 10);
    assert_eq!(given(&mut numbers, &[("b", 2), ("c", 0)], 10), pairs(&[("c", 3)]));
    assert_eq!(
        given(&mut numbers, &[("b", 2), ("c", 3), ("d", 1)], 11),
        pairs(&[("d", 4)])
    );
}

#[test]
fn numbers_that_were_edited_by_hand_are_mended() {
    let mut numbers = Numbers::new(NUMBER_REST);
    given(&mut numbers, &[("a", 1), ("b", 2), ("c", 3)], 0);
    // Another's: it stays the other's.
    assert_eq!(
        given(&mut numbers, &[("a", 2), ("b", 2), ("c", 3)], 1),
        pairs(&[("a", 1)])
    );
    // Exchanged: both are given their own.
    assert_eq!(
        given(&mut numbers, &[("a", 2), ("b", 1), ("c", 3)], 2),
        pairs(&[("a", 1), ("b", 2)])
    );
    // One that is free is as good, and the former one rests.
    assert_eq!(given(&mut numbers, &[("a", 9), ("b", 2), ("c", 3)], 3), []);
    assert_eq!(
        given(&mut numbers, &[("a", 9), ("b", 2), ("c", 3), ("d", 0)], 3),
        pairs(&[("d", 4)])
    );
    // One that rests is nobody's.
    assert_eq!(
        given(&mut numbers, &[("a", 9), ("b", 2), ("c", 1), ("d", 4)], 4),
        pairs(&[("c", 3)])
    );
    // To a leader that does not know whose it was, it is the first one's by name.
    let mut next = Numbers::new(NUMBER_REST);
    assert_eq!(given(&mut next, &[("b", 2), ("a", 2)], 4), pairs(&[("b", 1)]));
}

#[test]
fn when_all_are_taken_nobody_is_harmed() {
    let mut numbers = Numbers::new(NUMBER_REST);
    let mut all: BTreeMap<Arc<str>, _> = (1..=MAX_NUMBER)
        .map(|n| (Arc::from(format!("n{n}")), Some(number(n))))
        .collect();
    assert_eq!(numbers.assign(&all, at(0)), []);
    all.insert(Arc::from("one more"), None);
    let given = numbers.assign(&all, at(0));
    assert_eq!((given.len(), given[0].number), (1, None));
    assert_eq!(numbers.record(at(0)), r#"{"used":"1-4095","resting":{}}"#);
}

#[test]
fn a_record_that_was_edited_by_hand_harms_nothing() {
    for text in [
        "",
        "[]",
        r#"{"used":"7-1,x,-,0-99999,1-65535","resting":{}}"#,
        r#"{"used":"","resting":{"5000":[null,18446744073709551615]}}"#,
    ] {
        let mut numbers = Numbers::new(NUMBER_REST);
        numbers.adopt(Some(text), at(0));
        assert_eq!(given(&mut numbers, &[("a", 7)], 0), [], "{text}");
    }
}

/// Its annotations would be too long for the API server, and nobody could renew the leader's Lease.
#[test]
fn the_record_of_thousands_that_have_gone_fits_and_keeps_their_numbers() {
    let mut numbers = Numbers::new(NUMBER_REST);
    let all = (1..=MAX_NUMBER).map(|n| (Arc::from(format!("{n:0248}")), Some(number(n))));
    numbers.assign(&all.collect(), at(0));
    numbers.assign(&BTreeMap::new(), at(1));
    assert!(numbers.record(at(1)).len() < 200 * 1024);
    let mut next = next_leader(&numbers, 1);
    assert_eq!(given(&mut next, &[("a", 0)], 599), pairs(&[("a", 0)]));
    assert_eq!(given(&mut next, &[("a", 0)], 603), pairs(&[("a", 1)]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is written into Leases, restarted and deleted: after what is given, numbers are unique, and none was
    /// another node's within ten minutes; unless a hand wrote it while the leader, who knew whose it was, changed.
    #[test]
    fn numbers_are_unique_and_rest(
        steps in prop::collection::vec((0..6_usize, 0..8_u16, 0..400_u64, any::<bool>()), 1..40),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut present: BTreeMap<Arc<str>, Option<NonZeroU16>> = BTreeMap::new();
        let mut last: BTreeMap<NonZeroU16, (Arc<str>, u64)> = BTreeMap::new();
        let mut numbers = Numbers::new(NUMBER_REST);
        let mut second = 0;
        for (node, edit, pause, changes) in steps {
            let node: Arc<str> = Arc::from(names[node]);
            match edit {
                0 => { present.remove(&node); }
                1 => { present.entry(node).or_default(); }
                edited => { present.insert(node, NonZeroU16::new(edited)); }
            }
            let is_by_hand = changes && edit >= 2;
            if changes {
                numbers = next_leader(&numbers, second);
            }
            for given in numbers.assign(&present, at(second)) {
                present.insert(given.node, given.number);
            }
            let mut seen = BTreeSet::new();
            for (node, number) in &present {
                let number = number.unwrap();
                prop_assert!(seen.insert(number));
                if let Some((before, since)) = last.insert(number, (Arc::clone(node), second)) {
                    let rested = before == *node || second - since >= NUMBER_REST.as_secs();
                    prop_assert!(rested || is_by_hand, "{number} of {before} for {node}");
                }
            }
            second += pause;
        }
    }
}

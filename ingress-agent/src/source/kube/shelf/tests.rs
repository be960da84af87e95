use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use super::{HELD, Shelf};
use crate::digest::{Cause, Fault};

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("shop".to_owned()),
        ..ObjectMeta::default()
    }
}

fn put(shelf: &mut Shelf<u32>, name: &str, value: u32) -> bool {
    shelf.put(&named(name), |last| {
        Ok(match last {
            Some(last) if **last == value => Arc::clone(last),
            _ => Arc::new(value),
        })
    })
}

fn values(shelf: &Shelf<u32>) -> Vec<u32> {
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    shelf.enter(&mut entries, &mut findings);
    let mut values: Vec<_> = entries.iter().map(|entry| *entry.value).collect();
    values.sort_unstable();
    values
}

fn listed(values: &[(&str, u32)], now: Instant) -> Shelf<u32> {
    let mut shelf = Shelf::new("Number");
    list(&mut shelf, values, now);
    shelf
}

fn list(shelf: &mut Shelf<u32>, values: &[(&str, u32)], now: Instant) {
    shelf.list_begins();
    for (name, value) in values {
        put(shelf, name, *value);
    }
    shelf.list_ends(now);
}

/// OP-7: an event that comes twice is none.
#[test]
fn only_another_value_is_news() {
    let mut shelf = listed(&[("a", 1)], Instant::now());
    assert!(!put(&mut shelf, "a", 1));
    assert!(put(&mut shelf, "a", 2));
    assert!(put(&mut shelf, "b", 1));
}

/// OP-8.
#[test]
fn a_delete_acts_at_once() {
    let mut shelf = listed(&[("a", 1), ("b", 2)], Instant::now());
    assert!(shelf.delete(&named("a")));
    assert_eq!(values(&shelf), [2]);
    assert!(!shelf.delete(&named("a")));
}

/// OP-8.
#[test]
fn what_a_new_list_lacks_stays_for_a_while() {
    let now = Instant::now();
    let mut shelf = listed(&[("a", 1), ("b", 2)], now);
    list(&mut shelf, &[("b", 2)], now);
    assert_eq!(shelf.next_expiry(), Some(now + HELD));
    shelf.expire(now + HELD - Duration::from_millis(1));
    assert_eq!(values(&shelf), [1, 2]);
    shelf.expire(now + HELD);
    assert_eq!(values(&shelf), [2]);
    assert_eq!(shelf.next_expiry(), None);
}

#[test]
fn what_comes_back_in_time_was_never_away() {
    let now = Instant::now();
    let mut shelf = listed(&[("a", 1)], now);
    list(&mut shelf, &[], now);
    assert!(put(&mut shelf, "a", 1), "it no longer lacks");
    shelf.expire(now + HELD);
    assert_eq!(values(&shelf), [1]);
}

#[test]
fn a_further_list_that_lacks_it_does_not_begin_its_time_anew() {
    let now = Instant::now();
    let mut shelf = listed(&[("a", 1)], now);
    list(&mut shelf, &[], now);
    list(&mut shelf, &[], now + HELD / 2);
    shelf.expire(now + HELD);
    assert!(values(&shelf).is_empty());
}

/// OP-7: a relist that fails in the middle.
#[test]
fn a_list_that_is_not_complete_counts_for_nothing() {
    let now = Instant::now();
    let mut shelf = listed(&[("a", 1), ("b", 2)], now);
    shelf.list_begins();
    put(&mut shelf, "b", 2);
    list(&mut shelf, &[("a", 1), ("b", 2)], now);
    assert_eq!(shelf.next_expiry(), None);
    assert_eq!(values(&shelf), [1, 2]);
}

#[test]
fn an_object_that_cannot_be_read_stays_as_it_was_and_is_told() {
    let mut shelf = listed(&[("a", 1)], Instant::now());
    let fault = || Fault::refused(Cause::Type, "spec").found("x").expected("y");
    assert!(shelf.put(&named("a"), |_| Err::<Arc<u32>, _>(fault())));
    assert!(
        !shelf.put(&named("a"), |_| Err::<Arc<u32>, _>(fault())),
        "told once"
    );
    let (mut entries, mut findings) = (Vec::new(), Vec::new());
    shelf.enter(&mut entries, &mut findings);
    assert_eq!(entries.len(), 1);
    assert_eq!(findings.len(), 1);
    assert!(put(&mut shelf, "a", 1), "it is readable again");
    findings.clear();
    shelf.enter(&mut entries, &mut findings);
    assert!(findings.is_empty());
}

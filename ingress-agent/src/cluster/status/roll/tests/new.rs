//! What is new, and when it is published.

use super::*;

/// The other nodes hear of it at the same moment and may take a little longer.
#[test]
fn what_is_new_is_written_once_it_has_settled_and_what_is_released_at_once() {
    let mut roll = Roll::default();
    let begin = Instant::now();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), begin);
    for name in ["web", "new"] {
        roll.see(key(name), seen("1", &[]));
    }
    assert_eq!(
        roll.next(begin).unwrap().key,
        key("web"),
        "another leader gave it"
    );
    roll.see(key("web"), ours("2", &["192.0.2.1"], 0));
    roll.wrote(key("web"), Outcome::Outdated, begin);

    let mut both = wanted("web", &["192.0.2.1"]);
    both.insert(key("new"), due(&["192.0.2.1"]));
    roll.want(both.clone(), &snapshot(), begin);
    assert_eq!(roll.next(begin), None);
    // Nothing that is told of it is a reason to hurry.
    roll.see(key("new"), seen("3", &["lb.example.com"]));
    roll.want(both, &snapshot(), begin + SETTLED / 2);
    assert_eq!(roll.next(begin + SETTLED / 2), None);
    assert_eq!(roll.next_retry(begin), Some(begin + SETTLED));
    let write = roll.next(begin + SETTLED).unwrap();
    assert_eq!((&*write.key.1, &*write.version), ("new", "3"));
    assert_eq!(roll.next_retry(begin + SETTLED), None);

    roll.want(not_ours("web"), &snapshot(), begin + SETTLED);
    assert!(texts(&roll.next(begin + SETTLED).unwrap()).is_empty());
}

/// The source may not know yet that it is another.
#[test]
fn another_ingress_of_the_same_name_is_new() {
    let mut roll = Roll::default();
    let begin = Instant::now();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), begin);
    roll.see(key("web"), ours("1", &["192.0.2.1"], 0));
    assert_eq!(roll.next(begin), None);
    roll.forget(&key("web"), begin);
    roll.see(key("web"), seen("3", &[]));
    assert_eq!(roll.next(begin), None);
    assert_eq!(roll.next(begin + SETTLED).unwrap().version, "3");
}

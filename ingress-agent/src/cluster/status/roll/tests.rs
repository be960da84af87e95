mod new;

use std::sync::Arc;
use std::time::Duration;

use super::super::settling::SETTLED;
use super::*;
use crate::digest::vippool::{VipPool, digest};
use crate::digest::{Precedence, vippool};
use crate::translate::Rest;

fn key(name: &str) -> IngressKey {
    (Arc::from("shop"), Arc::from(name))
}

/// As somebody else wrote it.
fn seen(version: &str, entries: &[&str]) -> Seen {
    Seen {
        version: version.to_owned(),
        entries: entries.iter().map(|text| entry(text)).collect(),
        others: None,
    }
}

/// As a leader of ours wrote it, with so many of others first.
fn ours(version: &str, entries: &[&str], others: usize) -> Seen {
    Seen {
        others: Some(others),
        ..seen(version, entries)
    }
}

/// An address, or a host name.
fn entry(text: &str) -> Entry {
    let is_address = text.parse::<IpAddr>().is_ok();
    Entry {
        ip: is_address.then(|| text.to_owned()),
        hostname: (!is_address).then(|| text.to_owned()),
        ports: None,
    }
}

fn due(addresses: &[&str]) -> Due {
    Due::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect())
}

fn wanted(name: &str, addresses: &[&str]) -> Wanted {
    Wanted::from([(key(name), due(addresses))])
}

fn not_ours(name: &str) -> Wanted {
    Wanted::from([(key(name), Due::NotOurs)])
}

/// With a pool of 192.0.2.0/28.
fn snapshot() -> Snapshot {
    let pool = serde_json::json!({
        "apiVersion": "ingress-agent.dev/v1alpha1",
        "kind": "VipPool",
        "metadata": {"name": "edge"},
        "spec": {"addresses": ["192.0.2.0/28"]},
    });
    let pool: VipPool = serde_json::from_value(pool).unwrap();
    let value: Arc<vippool::Pool> = digest(pool, None);
    let precedence = Precedence::Uncreated {
        file: Arc::from(""),
        position: 0,
    };
    let mut snapshot = poolless();
    snapshot.pools.push(crate::translate::Entry {
        precedence,
        place: None,
        value,
    });
    snapshot
}

fn poolless() -> Snapshot {
    Snapshot::empty(&Arc::from("node"))
}

fn texts(write: &Write) -> Vec<&str> {
    let entries = write.entries.iter();
    entries
        .filter_map(|entry| entry.ip.as_deref().or(entry.hostname.as_deref()))
        .collect()
}

/// What is written next; the API server takes it as this version.
fn written(roll: &mut Roll, version: &str) -> Option<Write> {
    let now = Instant::now();
    let write = roll.next(now)?;
    let seen = Seen {
        version: version.to_owned(),
        entries: write.entries.clone(),
        others: (!write.entries.is_empty()).then_some(write.others),
    };
    assert!(!roll.wrote(write.key.clone(), Outcome::Written(seen), now));
    Some(write)
}

/// What came then has settled.
fn long_ago() -> Instant {
    Instant::now() - SETTLED
}

fn next(roll: &mut Roll) -> Option<Write> {
    roll.next(Instant::now())
}

#[test]
fn an_address_is_written_once() {
    let mut roll = Roll::default();
    roll.want(
        wanted("web", &["192.0.2.1", "2001:db8::1"]),
        &snapshot(),
        long_ago(),
    );
    assert_eq!(next(&mut roll), None, "nobody knows it yet");
    roll.see(key("web"), seen("1", &[]));
    let write = next(&mut roll).unwrap();
    assert_eq!(
        (&*write.version, texts(&write), write.others),
        ("1", vec!["192.0.2.1", "2001:db8::1"], 0)
    );
    assert_eq!(next(&mut roll), None);
    // The answer, and then the watch.
    let now = ours("2", &["192.0.2.1", "2001:db8::1"], 0);
    roll.wrote(key("web"), Outcome::Written(now.clone()), Instant::now());
    roll.see(key("web"), now);
    roll.want(
        wanted("web", &["192.0.2.1", "2001:db8::1"]),
        &snapshot(),
        long_ago(),
    );
    assert_eq!(next(&mut roll), None);
}

#[test]
fn a_conflict_is_tried_again_over_what_the_watch_tells_and_not_before() {
    let mut roll = Roll::default();
    let now = Instant::now();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    roll.see(key("web"), seen("1", &[]));
    roll.next(now).unwrap();
    roll.see(key("web"), seen("2", &["lb.example.com"]));
    assert_eq!(roll.next(now), None, "it is under way");
    roll.wrote(key("web"), Outcome::Outdated, now);
    let write = roll.next(now).unwrap();
    assert_eq!(
        (&*write.version, texts(&write)),
        ("2", vec!["lb.example.com", "192.0.2.1"])
    );
    // The answer comes before the watch.
    roll.wrote(key("web"), Outcome::Outdated, now);
    assert_eq!(roll.next(now + Duration::from_secs(99)), None);
    roll.see(key("web"), seen("3", &[]));
    assert_eq!(roll.next(now).unwrap().version, "3");
}

/// The answer to a write comes after the watch has told of it and of another's after it.
#[test]
fn an_answer_does_not_hide_what_the_watch_told_meanwhile() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    roll.see(key("web"), seen("1", &[]));
    next(&mut roll).unwrap();
    roll.see(key("web"), ours("2", &["192.0.2.1"], 0));
    roll.see(key("web"), seen("3", &["lb.example.com"]));
    let late = Outcome::Written(ours("2", &["192.0.2.1"], 0));
    roll.wrote(key("web"), late, Instant::now());
    let write = next(&mut roll).unwrap();
    assert_eq!(
        (&*write.version, texts(&write)),
        ("3", vec!["lb.example.com", "192.0.2.1"])
    );
}

#[test]
fn only_entries_of_ours_are_taken_away() {
    let mut roll = Roll::default();
    let others = ["203.0.113.9", "192.0.2.7", "lb.example.com"];
    roll.see(key("web"), seen("1", &others));
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    let write = written(&mut roll, "2").unwrap();
    assert_eq!(texts(&write), ["203.0.113.9", "lb.example.com", "192.0.2.1"]);
    assert_eq!(write.others, 2);
    // It is of another class now.
    roll.want(not_ours("web"), &snapshot(), long_ago());
    let write = written(&mut roll, "3").unwrap();
    assert_eq!(texts(&write), ["203.0.113.9", "lb.example.com"]);
    assert_eq!(write.others, 2);
    assert_eq!(next(&mut roll), None);
    // And what its controller writes from then on is its own, whatever it is.
    roll.see(key("web"), seen("4", &["192.0.2.1"]));
    assert_eq!(next(&mut roll), None);
}

/// Another controller's on the host's network: its status has the nodes' addresses, as ours would.
#[test]
fn an_ingress_that_never_was_ours_is_left_alone_whatever_it_says() {
    let mut roll = Roll::default();
    let nodes = ["10.0.0.1", "192.0.2.1"];
    roll.want(not_ours("web"), &snapshot(), long_ago());
    roll.see(key("web"), seen("1", &nodes));
    assert_eq!(next(&mut roll), None);
    // Another Ingress's are ours.
    let both = Wanted::from([(key("shop"), due(&nodes)), (key("web"), Due::NotOurs)]);
    roll.want(both, &snapshot(), long_ago());
    roll.see(key("shop"), seen("2", &[]));
    assert_eq!(texts(&written(&mut roll, "3").unwrap()), nodes);
    roll.see(key("web"), seen("4", &nodes));
    assert_eq!(next(&mut roll), None);
}

/// Where there is no pool both want the same.
#[test]
fn an_address_that_another_wrote_too_stays_the_other_s() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["10.0.0.1", "10.0.0.2"]), &poolless(), long_ago());
    roll.see(key("web"), seen("1", &["10.0.0.1"]));
    let write = written(&mut roll, "2").unwrap();
    assert_eq!((texts(&write), write.others), (vec!["10.0.0.1", "10.0.0.2"], 1));
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    let write = written(&mut roll, "3").unwrap();
    assert_eq!((texts(&write), write.others), (vec!["10.0.0.1", "192.0.2.1"], 1));
}

#[test]
fn the_addresses_of_a_pool_that_is_gone_are_taken_away() {
    let mut roll = Roll::default();
    roll.see(key("web"), seen("1", &[]));
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    written(&mut roll, "2").unwrap();
    // Somebody else writes the list anew, with ours.
    roll.see(key("web"), seen("3", &["lb.example.com", "192.0.2.1"]));
    roll.want(wanted("web", &[]), &poolless(), long_ago());
    assert_eq!(texts(&next(&mut roll).unwrap()), ["lb.example.com"]);
}

/// Another leader wrote it, and this one never knew the pool.
#[test]
fn a_new_leader_takes_away_what_the_one_before_it_wrote() {
    let wrote = ["lb.example.com", "203.0.113.9", "192.0.2.1"];
    for (due, left) in [(due(&["10.0.0.1"]), Some("10.0.0.1")), (Due::NotOurs, None)] {
        let mut roll = Roll::default();
        roll.see(key("web"), ours("1", &wrote, 2));
        assert_eq!(next(&mut roll), None, "not before it is known what is wanted");
        roll.want(Wanted::from([(key("web"), due)]), &poolless(), long_ago());
        let write = next(&mut roll).unwrap();
        let others = ["lb.example.com", "203.0.113.9"].into_iter();
        assert_eq!(texts(&write), others.chain(left).collect::<Vec<_>>());
        assert_eq!(write.others, 2);
    }
}

/// A leader whose watch of objects lags behind that of their status.
#[test]
fn what_is_not_known_yet_stays_as_it_is() {
    let mut roll = Roll::default();
    roll.see(key("web"), ours("1", &["192.0.2.1"], 0));
    roll.want(Wanted::new(), &snapshot(), long_ago());
    assert_eq!(next(&mut roll), None);
    roll.want(not_ours("web"), &snapshot(), long_ago());
    assert!(texts(&next(&mut roll).unwrap()).is_empty());
}

#[test]
fn what_waits_for_an_address_keeps_those_it_has_and_gets_others() {
    let at_least = |addresses: &[&str], rest| {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Wanted::from([(key("web"), Due::AtLeast(addresses, rest))])
    };
    let mut roll = Roll::default();
    roll.see(key("web"), ours("1", &["lb.example.com", "192.0.2.1"], 1));
    roll.want(at_least(&[], Rest::All), &snapshot(), long_ago());
    assert_eq!(next(&mut roll), None);
    roll.want(at_least(&["192.0.2.2"], Rest::All), &snapshot(), long_ago());
    let write = written(&mut roll, "2").unwrap();
    assert_eq!(
        (texts(&write), write.others),
        (vec!["lb.example.com", "192.0.2.1", "192.0.2.2"], 1)
    );
    // What is released goes, whatever a pool without nodes holds back.
    let unserved = Rest::Unserved(["192.0.2.3".parse().unwrap()].into());
    roll.want(at_least(&["192.0.2.2"], unserved), &snapshot(), long_ago());
    assert_eq!(texts(&next(&mut roll).unwrap()), ["lb.example.com", "192.0.2.2"]);
}

#[test]
fn a_list_of_one_namespace_says_nothing_of_another() {
    let mut roll = Roll::default();
    let other: IngressKey = (Arc::from("news"), Arc::from("web"));
    roll.see(key("web"), seen("1", &[]));
    roll.see(other.clone(), seen("2", &[]));
    roll.list_begins(Some("shop"));
    roll.want(
        Wanted::from([
            (key("web"), due(&["192.0.2.1"])),
            (other.clone(), due(&["192.0.2.1"])),
        ]),
        &snapshot(),
        long_ago(),
    );
    assert_eq!(written(&mut roll, "3").unwrap().key, other);
    assert_eq!(next(&mut roll), None, "it is not listed again yet");
    roll.see(key("web"), seen("1", &[]));
    assert_eq!(next(&mut roll).unwrap().key, key("web"));
    roll.list_begins(None);
    roll.want(wanted("web", &[]), &snapshot(), long_ago());
    assert_eq!(next(&mut roll), None);
}

/// As many as are written at once, and first by name.
#[test]
fn writes_that_always_fail_keep_no_other_waiting() {
    let mut roll = Roll::default();
    let mut now = Instant::now();
    let names: Vec<_> = (0..16).map(|index| format!("a{index:02}")).collect();
    let mut all: Wanted = names
        .iter()
        .map(|name| (key(name), due(&["192.0.2.1"])))
        .collect();
    roll.want(all.clone(), &snapshot(), long_ago());
    for name in &names {
        roll.see(key(name), seen("1", &[]));
    }
    let mut is_first = true;
    for _ in 0..8 {
        let writes: Vec<_> = std::iter::from_fn(|| roll.next(now)).collect();
        assert_eq!(writes.len(), 16);
        for write in writes {
            assert_eq!(roll.wrote(write.key, Outcome::Failed, now), is_first);
        }
        is_first = false;
        assert_eq!(roll.next(now), None);
        now = roll.next_retry(now).unwrap();
    }
    // All of them are due, and there is another.
    all.insert(key("web"), due(&["192.0.2.1"]));
    roll.want(all, &snapshot(), long_ago());
    roll.see(key("web"), seen("1", &[]));
    assert_eq!(roll.next(now).unwrap().key, key("web"));
    // Whatever is told of one of them is a reason to try it, before its pause is over.
    let write = roll.next(now).unwrap();
    assert!(roll.next_retry(now).is_none(), "all of them are due");
    roll.wrote(write.key.clone(), Outcome::Failed, now);
    let rest = std::iter::from_fn(|| roll.next(now)).count();
    assert_eq!(rest, 15);
    roll.see(write.key.clone(), seen("2", &[]));
    assert_eq!(roll.next(now).unwrap().key, write.key);
}

/// It was deleted while nobody heard it.
#[test]
fn of_what_a_list_lacks_nothing_is_kept() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot(), long_ago());
    roll.see(key("web"), seen("1", &[]));
    written(&mut roll, "2").unwrap();
    for namespace in [Some("shop"), None] {
        roll.list_begins(namespace);
        roll.see(key("web"), ours("2", &["192.0.2.1"], 0));
        roll.list_ends(namespace, Instant::now());
        assert_eq!(roll.written.len(), 1, "it is there");
    }
    roll.list_begins(Some("other"));
    roll.list_ends(Some("other"), Instant::now());
    assert_eq!(roll.written.len(), 1, "it is not listed");
    roll.list_begins(Some("shop"));
    roll.list_ends(Some("shop"), Instant::now());
    assert_eq!(roll.written.len(), 0);
}

use super::*;
use crate::digest::vippool::{VipPool, digest};
use crate::digest::{Precedence, vippool};

fn key(name: &str) -> IngressKey {
    (Arc::from("shop"), Arc::from(name))
}

fn seen(version: &str, entries: &[&str]) -> Seen {
    Seen {
        version: version.to_owned(),
        entries: entries.iter().map(|text| entry(text)).collect(),
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

fn wanted(name: &str, addresses: &[&str]) -> Wanted {
    let addresses = addresses.iter().map(|text| text.parse().unwrap());
    Wanted::from([(key(name), Some(addresses.collect()))])
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
    let mut snapshot = Snapshot::empty(&Arc::from("node"));
    snapshot.pools.push(crate::translate::Entry {
        precedence,
        place: None,
        value,
    });
    snapshot
}

fn texts(write: &Write) -> Vec<&str> {
    let entries = write.entries.iter();
    entries
        .filter_map(|entry| entry.ip.as_deref().or(entry.hostname.as_deref()))
        .collect()
}

#[test]
fn an_address_is_written_once() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["192.0.2.1", "2001:db8::1"]), &snapshot());
    assert_eq!(roll.next(), None, "nobody knows it yet");
    roll.see(key("web"), seen("1", &[]));
    let write = roll.next().unwrap();
    assert_eq!(
        (&*write.version, texts(&write)),
        ("1", vec!["192.0.2.1", "2001:db8::1"])
    );
    assert_eq!(roll.next(), None);
    // The answer, and then the watch.
    let now = Seen {
        version: "2".to_owned(),
        entries: write.entries,
    };
    roll.wrote(key("web"), Some(now.clone()));
    roll.see(key("web"), now);
    roll.want(wanted("web", &["192.0.2.1", "2001:db8::1"]), &snapshot());
    assert_eq!(roll.next(), None);
}

#[test]
fn a_conflict_is_tried_again_over_what_the_watch_tells() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot());
    roll.see(key("web"), seen("1", &[]));
    roll.next().unwrap();
    roll.see(key("web"), seen("2", &["lb.example.com"]));
    assert_eq!(roll.next(), None, "it is under way");
    roll.wrote(key("web"), None);
    let write = roll.next().unwrap();
    assert_eq!(
        (&*write.version, texts(&write)),
        ("2", vec!["lb.example.com", "192.0.2.1"])
    );
}

/// The answer to a write comes after the watch has told of it and of another's after it.
#[test]
fn an_answer_does_not_hide_what_the_watch_told_meanwhile() {
    let mut roll = Roll::default();
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot());
    roll.see(key("web"), seen("1", &[]));
    roll.next().unwrap();
    roll.see(key("web"), seen("2", &["192.0.2.1"]));
    roll.see(key("web"), seen("3", &["lb.example.com"]));
    roll.wrote(key("web"), Some(seen("2", &["192.0.2.1"])));
    let write = roll.next().unwrap();
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
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot());
    let write = roll.next().unwrap();
    assert_eq!(texts(&write), ["203.0.113.9", "lb.example.com", "192.0.2.1"]);
    // It is of another class now.
    roll.wrote(key("web"), Some(seen("2", &texts(&write))));
    roll.want(Wanted::new(), &snapshot());
    let write = roll.next().unwrap();
    assert_eq!(texts(&write), ["203.0.113.9", "lb.example.com"]);
}

#[test]
fn the_addresses_of_a_pool_that_is_gone_are_taken_away() {
    let mut roll = Roll::default();
    roll.see(key("web"), seen("1", &[]));
    roll.want(wanted("web", &["192.0.2.1"]), &snapshot());
    roll.next().unwrap();
    roll.wrote(key("web"), Some(seen("2", &["192.0.2.1"])));
    roll.want(wanted("web", &[]), &Snapshot::empty(&Arc::from("node")));
    assert!(texts(&roll.next().unwrap()).is_empty());
}

#[test]
fn what_waits_for_an_address_keeps_the_one_it_has() {
    let mut roll = Roll::default();
    roll.see(key("web"), seen("1", &["192.0.2.1"]));
    roll.want(Wanted::from([(key("web"), None)]), &snapshot());
    assert_eq!(roll.next(), None);
}

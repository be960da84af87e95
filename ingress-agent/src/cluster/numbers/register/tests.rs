use std::collections::{BTreeSet, VecDeque};

use serde_json::json;

use super::*;
use crate::digest::node::NUMBER_REST;

/// How often a node renews its Lease.
const RENEW: Duration = Duration::from_secs(5);

/// After what a Lease that ended is deleted.
const GONE: Duration = Duration::from_secs(600);

/// An API server with the Leases of nodes that live, and the watch of them.
struct Server {
    now: Duration,
    version: u64,
    leases: Vec<Stored>,
    /// When they are seen.
    watch: VecDeque<(Duration, Lease)>,
    /// How long a request or an event is under way.
    latency: Duration,
    /// The one whose number it refuses to take.
    refused: Option<usize>,
}

#[derive(Clone, Default)]
struct Stored {
    version: u64,
    number: Option<NonZeroU16>,
    renewed: Duration,
    /// How often it was tried to write its number.
    tries: u32,
}

impl Server {
    /// Nodes that began one after the other within five seconds.
    fn new(nodes: u32, latency: Duration) -> Self {
        let now = RENEW * 10;
        let lease = |index| Stored {
            renewed: now - RENEW + RENEW * index / nodes,
            ..Stored::default()
        };
        Self {
            now,
            version: 0,
            leases: (0..nodes).map(lease).collect(),
            watch: VecDeque::new(),
            latency,
            refused: None,
        }
    }

    fn lease(&self, index: usize) -> Lease {
        let stored = &self.leases[index];
        lease(index, stored.version, stored.number)
    }

    fn change(&mut self, index: usize) {
        self.version += 1;
        self.leases[index].version = self.version;
        self.watch.push_back((self.now + self.latency, self.lease(index)));
    }

    /// Time passes in which nodes renew their Leases.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        for index in 0..self.leases.len() {
            while self.leases[index].renewed + RENEW <= self.now {
                self.leases[index].renewed += RENEW;
                self.change(index);
            }
        }
    }

    /// Writes a number, if the Lease has the version that it is written over. The version then.
    fn give(&mut self, write: &Write) -> Option<String> {
        self.pass(self.latency);
        let index: usize = write.given.node.parse().unwrap();
        let stored = &mut self.leases[index];
        stored.tries += 1;
        let is_taken = self.refused != Some(index) && stored.version.to_string() == write.version;
        if is_taken {
            stored.number = write.given.number;
            self.change(index);
        }
        let written = is_taken.then(|| self.version.to_string());
        self.pass(self.latency);
        written
    }

    fn numbers(&self) -> BTreeSet<NonZeroU16> {
        self.leases.iter().filter_map(|lease| lease.number).collect()
    }
}

fn lease(index: usize, version: u64, number: Option<NonZeroU16>) -> Lease {
    let number = number.map(|number| ("ingress-agent.dev/number", number.to_string()));
    let annotations: BTreeMap<_, _> = number.into_iter().collect();
    let lease = json!({
        "metadata": {
            "name": format!("node-{index}"),
            "uid": format!("uid-{index}"),
            "resourceVersion": version.to_string(),
            "annotations": annotations,
        },
        "spec": {"holderIdentity": "a", "renewTime": format!("2026-11-21T16:00:00.{version:06}Z")},
    });
    serde_json::from_value(lease).unwrap()
}

/// Of node 0, with a list.
fn listed(leases: impl IntoIterator<Item = Lease>, now: Duration) -> Register {
    let mut register = Register::new("node-0", GONE);
    register.list_begins();
    for lease in leases {
        register.list(lease, now);
    }
    register.list_ends();
    register
}

/// Leads until all but a refused one have a number, as the writer does: what the watch told goes first. How long it
/// took.
fn lead(server: &mut Server) -> Duration {
    let nodes = server.leases.len();
    let mut register = listed((0..nodes).map(|index| server.lease(index)), server.now);
    let mut numbers = Numbers::new(NUMBER_REST);
    let begin = server.now;
    while server.numbers().len() < nodes - usize::from(server.refused.is_some()) {
        while let Some((_, lease)) = server.watch.pop_front_if(|(at, _)| *at <= server.now) {
            register.see(lease, server.now);
        }
        match register.next(&mut numbers, server.now) {
            Some(write) => {
                if let Some(version) = server.give(&write) {
                    register.wrote(&write, Some(version));
                }
            }
            None => server.pass(Duration::from_millis(10)),
        }
        assert!(
            server.now - begin < RENEW * 100,
            "{} of {nodes}",
            server.numbers().len()
        );
    }
    server.now - begin
}

/// However many renew meanwhile, and however late they are seen.
#[test]
fn all_that_renew_are_given_numbers_in_a_few_tries_each() {
    for (nodes, latency) in [(100, 1), (100, 10), (100, 200), (300, 10)] {
        let mut server = Server::new(nodes, Duration::from_millis(latency));
        let took = lead(&mut server);
        let tries: u32 = server.leases.iter().map(|lease| lease.tries).sum();
        let most = server.leases.iter().map(|lease| lease.tries).max();
        eprintln!("{nodes} nodes, {latency} ms: {tries} tries, {most:?} at most, {took:?}");
        assert!(tries <= nodes + nodes / 4, "{tries}");
    }
}

#[test]
fn one_that_is_refused_keeps_no_other_waiting_and_is_tried_when_it_is_renewed() {
    let mut server = Server::new(100, Duration::from_millis(10));
    server.refused = Some(1);
    let took = lead(&mut server);
    assert!(took < RENEW, "{took:?}");
    assert!((1..=2).contains(&server.leases[1].tries));
}

fn at(second: u64) -> Duration {
    Duration::from_secs(1000 + second)
}

fn number(number: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(number)
}

/// The number that is written next, and over which version.
fn next(register: &mut Register, numbers: &mut Numbers, second: u64) -> Option<(u16, String)> {
    let write = register.next(numbers, at(second))?;
    Some((write.given.number.unwrap().get(), write.version))
}

#[test]
fn a_number_is_written_over_each_version_once() {
    let mut numbers = Numbers::new(NUMBER_REST);
    let mut register = listed([lease(0, 1, number(1)), lease(1, 2, None)], at(0));
    assert_eq!(next(&mut register, &mut numbers, 0), Some((2, "2".to_owned())));
    assert_eq!(next(&mut register, &mut numbers, 1), None, "it was tried");
    register.time_passes();
    assert_eq!(next(&mut register, &mut numbers, 30), None);
    register.see(lease(1, 3, None), at(31));
    let write = register.next(&mut numbers, at(31)).unwrap();
    assert_eq!((&*write.version, write.given.number), ("3", number(2)));
    register.wrote(&write, Some("4".to_owned()));
    assert_eq!(next(&mut register, &mut numbers, 31), None);
    // The watch shows it, and then what a hand did.
    register.see(lease(1, 4, number(2)), at(31));
    assert_eq!(next(&mut register, &mut numbers, 31), None);
    register.see(lease(1, 5, number(1)), at(32));
    assert_eq!(next(&mut register, &mut numbers, 32), Some((2, "5".to_owned())));
}

/// Before a list is complete, a number without a Lease may be anybody's.
#[test]
fn nothing_is_given_before_all_are_known() {
    let mut numbers = Numbers::new(NUMBER_REST);
    let mut register = Register::new("node-0", GONE);
    register.list_begins();
    register.list(lease(0, 1, None), at(0));
    register.see(lease(2, 1, None), at(0));
    assert_eq!(next(&mut register, &mut numbers, 0), None);
    // It broke off, and began again.
    register.list_begins();
    register.list(lease(1, 2, number(1)), at(1));
    register.list_ends();
    assert_eq!(next(&mut register, &mut numbers, 1), None);
    register.see(lease(0, 3, None), at(2));
    assert_eq!(next(&mut register, &mut numbers, 2), Some((2, "3".to_owned())));
}

/// Of four thousand nodes eight hundred renew each second.
#[test]
fn a_heartbeat_decides_nothing() {
    let mut numbers = Numbers::new(NUMBER_REST);
    let mut register = listed([lease(0, 1, number(1))], at(0));
    assert_eq!(next(&mut register, &mut numbers, 0), None);
    register.see(lease(0, 2, number(1)), at(5));
    assert!(!register.is_stale);
    register.see(lease(0, 3, None), at(6));
    assert!(register.is_stale);
}

#[test]
fn a_lease_that_ended_long_ago_is_deleted_as_it_was_seen() {
    let mut register = listed([lease(0, 1, number(1)), lease(1, 2, number(2))], at(0));
    for second in (5..=625).step_by(5) {
        register.see(lease(0, second, number(1)), at(second));
        let ended = register.ended(at(second));
        // Fifteen seconds until it ends, and ten minutes.
        assert_eq!(ended.len(), usize::from(second >= 615), "{second}");
        assert!(ended.iter().all(|ended| *ended.node == *"1"
            && ended.version == "2"
            && ended.uid.as_deref() == Some("uid-1")));
    }
    register.see(lease(1, 1000, number(2)), at(626));
    assert_eq!(register.ended(at(626)), []);
    register.forget("node-1");
    assert_eq!(register.ended(at(2000)), []);
}

use std::time::Duration;

use serde_json::json;

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A Lease as an agent writes it, renewed for the `renewal`th time.
fn lease(node: &str, number: u16, renewal: u32) -> Lease {
    let lease = json!({
        "metadata": {
            "name": format!("node-{node}"),
            "namespace": "ingress",
            "annotations": {
                "ingress-agent.dev/addresses": format!("192.0.2.{number}"),
                "ingress-agent.dev/state": "active",
                "ingress-agent.dev/labels": "{}",
                "ingress-agent.dev/number": number.to_string(),
            },
        },
        "spec": {"holderIdentity": "x", "renewTime": format!("2026-11-21T00:00:00.{renewal:06}Z")},
    });
    serde_json::from_value(lease).unwrap()
}

/// A roster of the agent on `a`, and a clock.
struct Fleet {
    roster: Roster,
    begin: Instant,
    now: Instant,
    renewal: u32,
}

impl Fleet {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            roster: Roster::new(&Arc::from("a")),
            begin: now,
            now,
            renewal: 0,
        }
    }

    /// These nodes renew their Leases.
    fn renew(&mut self, nodes: &[(&str, u16)]) {
        self.renewal += 1;
        for (node, number) in nodes {
            self.put(lease(node, *number, self.renewal));
        }
    }

    fn put(&mut self, lease: Lease) -> bool {
        let name = lease.metadata.name.clone().unwrap();
        self.roster.put(&name, Beat::of(&lease), Ok(lease), self.now)
    }

    /// Time passes while these nodes renew their Leases every five seconds.
    fn pass(&mut self, time: u64, renewing: &[(&str, u16)]) {
        for _ in 0..time / 5 {
            self.now += seconds(5);
            self.renew(renewing);
            self.roster.judge(self.now);
        }
    }

    /// The members: the name, `-` where it is draining and `?` where it is silent.
    fn members(&self) -> Vec<String> {
        let (nodes, _) = self.roster.members();
        let text = |node: Node| match node.member.state {
            MemberState::Active => node.member.name.to_string(),
            MemberState::Draining => format!("{}-", node.member.name),
            MemberState::Silent => format!("{}?", node.member.name),
        };
        nodes.into_iter().map(text).collect()
    }
}

const A: (&str, u16) = ("a", 1);
const B: (&str, u16) = ("b", 2);
const C: (&str, u16) = ("c", 3);

#[test]
fn an_ended_lease_makes_its_node_silent_and_ten_minutes_later_it_is_gone() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B, C]);
    fleet.pass(10, &[A, C]);
    assert_eq!(fleet.members(), ["a", "b", "c"]);
    let end = fleet.roster.next_change(fleet.now).unwrap();
    assert_eq!(end, fleet.begin + seconds(15));
    fleet.pass(5, &[A, C]);
    assert_eq!(fleet.members(), ["a", "b?", "c"]);
    fleet.pass(595, &[A, C]);
    assert_eq!(fleet.members(), ["a", "b?", "c"]);
    fleet.pass(5, &[A, C]);
    assert_eq!(fleet.members(), ["a", "c"]);
    // It comes back.
    fleet.renew(&[B]);
    assert_eq!(fleet.members(), ["a", "b", "c"]);
}

#[test]
fn a_node_that_drained_and_fell_silent_is_draining_still() {
    let mut fleet = Fleet::new();
    let mut draining = lease("b", 2, 1);
    let annotations = draining.metadata.annotations.as_mut().unwrap();
    annotations.insert("ingress-agent.dev/state".to_owned(), "draining".to_owned());
    fleet.put(draining);
    fleet.pass(20, &[A]);
    assert_eq!(fleet.members(), ["a", "b-"]);
}

#[test]
fn a_deleted_lease_is_gone_at_once() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B]);
    fleet.roster.delete("node-b");
    assert_eq!(fleet.members(), ["a"]);
}

/// An API server that is away must not empty a membership, and neither must its return.
#[test]
fn an_agent_that_cannot_renew_its_own_lease_judges_nobody_s() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B, C]);
    fleet.pass(3600, &[]);
    assert_eq!(fleet.members(), ["a", "b", "c"]);
    // The own Lease is heard first; the others have their time from then on.
    fleet.pass(10, &[A]);
    assert_eq!(fleet.members(), ["a", "b", "c"]);
    fleet.pass(5, &[A, B]);
    assert_eq!(fleet.members(), ["a", "b", "c"]);
    fleet.pass(5, &[A, B]);
    assert_eq!(fleet.members(), ["a", "b", "c?"]);
    // What had ended before stays so while nobody can be judged.
    fleet.pass(3600, &[]);
    assert_eq!(fleet.members(), ["a", "b", "c?"]);
}

/// All renewed at one moment; after the outage the own Lease is renewed a second before the others.
#[test]
fn an_outage_shorter_than_a_lease_ends_nobody_s() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B]);
    fleet.now += seconds(14);
    fleet.renew(&[A]);
    fleet.now += seconds(1);
    fleet.roster.judge(fleet.now);
    assert_eq!(fleet.members(), ["a", "b"]);
}

/// OP-7: a server that begins to be slow. Nothing is heard until who renews has got used to it, each at another time.
#[test]
fn a_slow_api_server_ends_nobody_s() {
    let mut fleet = Fleet::new();
    fleet.pass(60, &[A, B]);
    for _ in 0..29 {
        fleet.now += seconds(1);
        fleet.roster.judge(fleet.now);
        assert_eq!(fleet.members(), ["a", "b"]);
    }
    fleet.renew(&[A]);
    for second in 1..=40 {
        fleet.now += seconds(1);
        // Whose turn is later, and a watch that began anew meanwhile.
        if second >= 9 && second % 9 == 0 {
            fleet.renew(&[B]);
        }
        if second % 7 == 0 {
            fleet.renew(&[A]);
        }
        fleet.roster.judge(fleet.now);
        assert_eq!(fleet.members(), ["a", "b"], "{second} s after it was heard again");
    }
}

#[test]
fn the_same_lease_again_is_no_sign_of_life() {
    let mut fleet = Fleet::new();
    fleet.renew(&[B]);
    for _ in 0..4 {
        fleet.pass(5, &[A]);
        // As a list brings it.
        fleet.put(lease("b", 2, 1));
    }
    fleet.roster.judge(fleet.now);
    assert_eq!(fleet.members(), ["a", "b?"]);
}

#[test]
fn a_renewal_is_no_news() {
    let mut fleet = Fleet::new();
    assert!(fleet.put(lease("a", 1, 1)) && fleet.put(lease("b", 2, 1)));
    fleet.now += seconds(5);
    assert!(!fleet.put(lease("a", 1, 2)) && !fleet.put(lease("b", 2, 2)));
    fleet.pass(15, &[A]);
    assert!(fleet.put(lease("b", 2, 3)), "it had ended");
    fleet.now += seconds(20);
    assert!(fleet.put(lease("a", 1, 99)), "others are judged again");
    assert!(fleet.put(lease("b", 3, 3)), "another number");
    assert!(fleet.roster.delete("node-b") && !fleet.roster.delete("node-b"));
}

#[test]
fn what_a_list_lacks_is_held() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B]);
    for _ in 0..2 {
        fleet.roster.list_begins();
        fleet.renew(&[A]);
        fleet.roster.list_ends(fleet.now);
        assert_eq!(fleet.members(), ["a", "b"]);
        fleet.now += seconds(15);
    }
    assert!(fleet.roster.is_listed());
    fleet.roster.judge(fleet.now);
    assert_eq!(fleet.members(), ["a"]);
}

#[test]
fn without_a_number_it_is_no_member_and_of_two_claims_one_counts() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, ("b", 1)]);
    let mut unnumbered = lease("c", 3, 1);
    let annotations = unnumbered.metadata.annotations.as_mut().unwrap();
    annotations.remove("ingress-agent.dev/number");
    fleet.put(unnumbered);
    assert_eq!(fleet.members(), ["a"]);
}

/// A machine that was given another name: its old Node is still there.
#[test]
fn an_address_is_the_living_node_s_and_who_has_another_s_is_told() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A, B]);
    let renamed = |renewal| {
        let mut lease = lease("c", 3, renewal);
        let annotations = lease.metadata.annotations.as_mut().unwrap();
        annotations.insert(
            "ingress-agent.dev/addresses".to_owned(),
            "192.0.2.9,192.0.2.2".to_owned(),
        );
        lease
    };
    fleet.put(renamed(1));
    // Nothing of one that is no member is kept from others.
    fleet.renew(&[("d", 9)]);
    assert_eq!(fleet.members(), ["a", "b", "d"]);
    let (_, findings) = fleet.roster.members();
    let told: Vec<_> = findings.iter().map(|finding| finding.fault.to_string()).collect();
    assert!(
        told.len() == 1
            && told[0].contains("192.0.2.2, which node `b` has")
            && told[0].contains("delete the Node"),
        "{told:?}"
    );
    for renewal in 2..6 {
        fleet.pass(5, &[A, ("d", 9)]);
        fleet.put(renamed(renewal));
    }
    // Its own other address is `d`'s, whose name comes later.
    assert_eq!(fleet.members(), ["a", "c"]);
}

#[test]
fn a_lease_that_cannot_be_read_is_told_and_harms_no_other() {
    let mut fleet = Fleet::new();
    fleet.renew(&[A]);
    let mut broken = lease("b", 2, 1);
    let annotations = broken.metadata.annotations.as_mut().unwrap();
    annotations.insert("ingress-agent.dev/state".to_owned(), "well".to_owned());
    fleet.put(broken);
    assert_eq!(fleet.members(), ["a"]);
    let (_, findings) = fleet.roster.members();
    let told: Vec<_> = findings.iter().map(|finding| &*finding.object.name).collect();
    assert_eq!(told, ["node-b"]);
}

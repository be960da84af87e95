use std::num::NonZeroU16;
use std::sync::Arc;

use super::*;
use crate::model::Protocol;

const OWN: u16 = 1;

fn vip(address: &str, port: u16) -> Vip {
    Vip {
        address: address.parse().unwrap(),
        port: NonZeroU16::new(port).unwrap(),
        protocol: Protocol::Tcp,
    }
}

/// Members by number, with whether they are active.
fn members(members: &[(u16, bool)]) -> Vec<Candidate> {
    let candidate = |(number, active): &(u16, bool)| Candidate {
        name: Arc::from(format!("node{number}")),
        number: *number,
        active: *active,
    };
    members.iter().map(candidate).collect()
}

/// A plan of pools, each with its members and the addresses whose port 80 it serves.
fn plan(pools: &[(&str, &[(u16, bool)], &[&str])]) -> Plan {
    let mut plan = Plan {
        own: Some(OWN),
        ..Plan::default()
    };
    for (name, who, addresses) in pools {
        let name: PoolName = Arc::from(*name);
        plan.pools.insert(Arc::clone(&name), members(who));
        for address in *addresses {
            plan.vips.insert(vip(address, 80), Arc::clone(&name));
        }
    }
    plan
}

fn announced(plan: &Plan, phase: Phase) -> Vec<String> {
    let addresses = announcements(plan, &plan.vips, phase);
    addresses.iter().map(ToString::to_string).collect()
}

const BOTH: &[&str] = &["192.0.2.10", "2001:db8:1::10"];

#[test]
fn an_active_member_announces_each_address_once() {
    let mut plan = plan(&[("p", &[(OWN, true), (2, true)], BOTH)]);
    plan.vips.insert(vip("192.0.2.10", 443), Arc::from("p"));
    assert_eq!(announced(&plan, Phase::Serving), BOTH);
}

#[test]
fn what_is_not_served_here_is_not_announced() {
    let plan = plan(&[("p", &[(OWN, true)], BOTH)]);
    let mut served = plan.vips.clone();
    served.remove(&vip("192.0.2.10", 80));
    let addresses = announcements(&plan, &served, Phase::Serving);
    assert_eq!(addresses, BTreeSet::from(["2001:db8:1::10".parse().unwrap()]));
    assert!(announcements(&plan, &BTreeMap::new(), Phase::Serving).is_empty());
}

#[test]
fn a_draining_member_does_not_while_another_is_active() {
    let told = plan(&[("p", &[(OWN, false), (2, true)], BOTH)]);
    assert!(announced(&told, Phase::Serving).is_empty());
    let stopping = plan(&[("p", &[(OWN, true), (2, true)], BOTH)]);
    assert!(announced(&stopping, Phase::Draining).is_empty());
}

#[test]
fn a_draining_member_does_where_nobody_else_would() {
    let alone = plan(&[("p", &[(OWN, true)], BOTH)]);
    assert_eq!(announced(&alone, Phase::Draining), BOTH);
    let all_drain = plan(&[("p", &[(OWN, false), (2, false)], BOTH)]);
    assert_eq!(announced(&all_drain, Phase::Serving), BOTH);
}

#[test]
fn pools_are_judged_each_for_itself() {
    let plan = plan(&[
        ("left", &[(OWN, false), (2, true)], &["192.0.2.10"]),
        ("mine", &[(OWN, true), (2, true)], &["192.0.2.11"]),
        ("theirs", &[(2, true)], &["192.0.2.12"]),
        ("theirs-draining", &[(2, false)], &["192.0.2.13"]),
    ]);
    assert_eq!(announced(&plan, Phase::Serving), ["192.0.2.11"]);
}

#[test]
fn nobody_announces_without_a_number_or_at_the_end() {
    let mut plan = plan(&[("p", &[(OWN, true)], BOTH)]);
    assert!(announced(&plan, Phase::Ended).is_empty());
    plan.own = None;
    assert!(announced(&plan, Phase::Serving).is_empty());
}

#[test]
fn the_kernel_s_tables_are_refused() {
    assert_eq!("116".parse(), Ok(Table::default()));
    assert_eq!("252".parse::<Table>().unwrap().number(), 252);
    assert_eq!("70000".parse::<Table>().unwrap().number(), 70_000);
    for number in [0, 253, 254, 255] {
        assert_eq!(
            number.to_string().parse::<Table>(),
            Err(TableError::Kernel(number))
        );
    }
    for text in ["", "main", "-1", "4294967296"] {
        assert_eq!(text.parse::<Table>(), Err(TableError::NoNumber), "{text}");
    }
}

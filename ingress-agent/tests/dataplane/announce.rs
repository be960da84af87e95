//! Announcements: which routes are in the table, when, and whose.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use ingress_agent::xdp::announce::Table;
use ingress_agent::xdp::{Options, Plan, Refused};

use crate::bed::{Bed, NoNetAdmin, privileged, run, try_run};

const BOTH: [&str; 2] = ["192.0.2.10", "2001:db8:1::10"];

/// The routes of a table, both families, one per line.
fn table(number: u32) -> String {
    let show = |family| try_run(&format!("ip -d {family} route show table {number}")).unwrap_or_default();
    show("-4") + &show("-6")
}

fn is_announced(address: &str) -> bool {
    let route = format!("blackhole {address} ");
    table(116)
        .lines()
        .any(|line| line.starts_with(&route) && line.contains("proto 116"))
}

/// This node's state in every pool of a plan.
fn with_own_draining(mut plan: Plan) -> Plan {
    for member in plan.pools.values_mut().flatten() {
        member.active = member.number != plan.own.unwrap();
    }
    plan
}

#[test]
fn an_address_is_announced_while_it_is_served_and_looked_up_by_nobody() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let rules = run("ip rule") + &run("ip -6 rule");
        dataplane
            .apply(&bed.plan(&[BOTH[0], BOTH[1], "192.0.2.11"]))
            .await
            .unwrap();
        assert!(BOTH.iter().all(|address| is_announced(address)), "{}", table(116));
        assert_eq!(dataplane.announced().borrow().len(), 3);
        assert_eq!(run("ip rule") + &run("ip -6 rule"), rules);
        assert!(run("ip route get 192.0.2.10").starts_with("local 192.0.2.10 dev lo "));
        dataplane.apply(&bed.plan(&BOTH)).await.unwrap();
        assert!(BOTH.iter().all(|address| is_announced(address)));
        assert!(!is_announced("192.0.2.11"));
        assert_eq!(dataplane.announced().borrow().len(), 2);
    });
}

#[test]
fn the_announcement_comes_last_and_goes_first() {
    privileged(async |bed: &Bed| {
        let log = bed.root().join("monitor");
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.99"])).await.unwrap();
        let mut monitor = Command::new("ip")
            .args(["-o", "monitor", "route"])
            .stdout(Stdio::from(File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        let lines = |text: &str| -> Vec<String> {
            let log = fs::read_to_string(&log).unwrap();
            log.lines()
                .filter(|line| line.contains(text))
                .map(str::to_owned)
                .collect()
        };
        // It listens when it tells of a route that comes and goes.
        bed.until("the monitor listens", || {
            run("ip route add blackhole 198.51.100.1 table 7");
            run("ip route del blackhole 198.51.100.1 table 7");
            !lines("198.51.100.1").is_empty()
        })
        .await;
        dataplane
            .apply(&bed.plan(&["192.0.2.99", "192.0.2.10"]))
            .await
            .unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.99"])).await.unwrap();
        bed.until("four changes", || lines("192.0.2.10 ").len() == 4)
            .await;
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        let told = lines("192.0.2.10 ");
        let words = ["local ", "blackhole ", "Deleted blackhole ", "Deleted local "];
        assert!(
            told.iter().zip(words).all(|(line, word)| line.starts_with(word)),
            "{told:#?}"
        );
    });
}

#[test]
fn an_announcement_that_somebody_removes_comes_back() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&BOTH)).await.unwrap();
        run("ip route del blackhole 192.0.2.10 table 116");
        run("ip -6 route del blackhole 2001:db8:1::10 table 116");
        bed.until("both are back", || {
            BOTH.iter().all(|address| is_announced(address))
        })
        .await;
    });
}

#[test]
fn somebody_else_s_routes_in_the_table_are_left_alone() {
    privileged(async |bed: &Bed| {
        run("ip route add blackhole 192.0.2.50 table 116 proto static");
        run("ip route add 198.51.100.0/24 dev up0 table 116 proto static");
        run("ip route add blackhole 203.0.113.0/24 table 116 proto 116");
        run("ip -6 route add 2001:db8:1::10 dev up0 table 116 proto static");
        let before = table(116);
        let mut dataplane = bed.open().await.unwrap();
        let applied = dataplane.apply(&bed.plan(&BOTH)).await.unwrap();
        let taken = Refused::Announcement {
            address: BOTH[1].parse().unwrap(),
            table: Table::default(),
        };
        assert_eq!(applied.refused, vec![taken]);
        assert!(is_announced(BOTH[0]) && !is_announced(BOTH[1]));
        assert_eq!(dataplane.announced().borrow().len(), 1);
        dataplane.close().await.unwrap();
        assert_eq!(table(116), before);

        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&BOTH)).await.unwrap();
        run("ip -6 route del 2001:db8:1::10 table 116 proto static");
        bed.until("it is announced when its place is free", || is_announced(BOTH[1]))
            .await;
    });
}

#[test]
fn a_node_that_drains_is_withdrawn_and_serves_on() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let plan = bed.plan(&BOTH);
        dataplane.apply(&plan).await.unwrap();
        dataplane.apply(&with_own_draining(plan.clone())).await.unwrap();
        assert_eq!(table(116), "", "its state is draining");
        assert_eq!(dataplane.maps().vip_addrs.entries().unwrap().len(), 2);

        dataplane.apply(&plan).await.unwrap();
        assert!(is_announced(BOTH[0]), "its state is active again");
        dataplane.drain().await.unwrap();
        assert_eq!(table(116), "", "it is told to stop");
        dataplane.apply(&plan).await.unwrap();
        assert_eq!(table(116), "", "a change does not bring it back");
        assert_eq!(dataplane.maps().vip_addrs.entries().unwrap().len(), 2);

        dataplane.apply(&bed.plan_alone(&BOTH)).await.unwrap();
        assert!(is_announced(BOTH[0]), "nobody else would announce it");
        dataplane.close().await.unwrap();
        assert_eq!(table(116), "", "it ends");
        assert!(run("ip route show table local 192.0.2.10").contains("dev lo"));
    });
}

#[test]
fn what_a_killed_agent_left_is_taken_over_and_put_right() {
    privileged(async |bed: &Bed| {
        let mut first = bed.open().await.unwrap();
        first
            .apply(&bed.plan(&["192.0.2.10", "192.0.2.11"]))
            .await
            .unwrap();
        // As a kill does, a drop withdraws nothing.
        drop(first);
        assert!(is_announced("192.0.2.10") && is_announced("192.0.2.11"));
        let mut second = bed.open().await.unwrap();
        second.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        assert!(is_announced("192.0.2.10") && !is_announced("192.0.2.11"));
        drop(second);

        let elsewhere = Options {
            announce_table: Table::try_from(70_000).unwrap(),
            ..bed.options()
        };
        let mut third = bed.open_with(elsewhere).await.unwrap();
        third.apply(&bed.plan(&BOTH)).await.unwrap();
        assert_eq!(table(116), "", "the table of earlier agents is left");
        assert_eq!(table(70_000).lines().count(), 2);
        drop(third);

        let done = bed.unload().await;
        assert_eq!(table(70_000), "");
        let said = done.to_string();
        assert!(
            said.contains("192.0.2.10: announcement removed from table 70000"),
            "{said}"
        );
    });
}

#[test]
fn an_agent_that_never_served_leaves_nothing_announced() {
    privileged(async |bed: &Bed| {
        run("ip route add blackhole 192.0.2.10 table 116 proto 116");
        let dataplane = bed.open().await.unwrap();
        dataplane.close().await.unwrap();
        assert_eq!(table(116), "");
    });
}

#[test]
fn nothing_is_announced_while_an_interface_is_not_safe() {
    privileged(async |bed: &Bed| {
        run("sysctl -qw net.ipv4.conf.up0.arp_announce=0");
        let mut dataplane = bed.open().await.unwrap();
        let without = NoNetAdmin::new();
        dataplane.apply(&bed.plan(&BOTH)).await.unwrap_err();
        assert_eq!(table(116), "");
        drop(without);
        bed.until("it is announced when it is served", || is_announced(BOTH[0]))
            .await;
    });
}

//! Routes, neighbours and interface settings, and what happens when they change.

use std::fs;

use ingress_agent::xdp::node::PeerProblem;
use ingress_agent::xdp::{ApplyError, Refused};
use ingress_common::NodeState;

use crate::bed::{Bed, NoNetAdmin, bpftool, mac, privileged, run};

#[test]
fn what_the_kernel_undoes_is_done_again() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        run("ip route del local 192.0.2.10 dev lo table local");
        bed.until("the route is back", || {
            !run("ip route show table local 192.0.2.10").is_empty()
        })
        .await;
        fs::write("/proc/sys/net/ipv4/conf/up0/arp_ignore", "0").unwrap();
        let arp_ignore = || fs::read_to_string("/proc/sys/net/ipv4/conf/up0/arp_ignore").unwrap();
        bed.until("arp_ignore is back", || arp_ignore() == "1\n").await;
    });
}

#[test]
fn the_settings_that_make_a_vip_harmless_are_set() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        for (name, value) in [
            ("arp_ignore", "1\n"),
            ("arp_announce", "2\n"),
            ("rp_filter", "2\n"),
        ] {
            let path = format!("/proc/sys/net/ipv4/conf/up0/{name}");
            assert_eq!(fs::read_to_string(path).unwrap(), value, "{name}");
        }
    });
}

#[test]
fn a_peer_s_mac_address_is_found_and_followed() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let node = || dataplane.maps().nodes.get(&2).unwrap().unwrap();
        let first = mac(&bed.peer("ip -o link show peer0"));
        bed.until("the neighbour is resolved", || node().dmac == first)
            .await;
        assert_eq!(node().smac, mac(&run("ip -o link show up0")));
        assert_eq!((node().state, node().mtu), (NodeState::Peer as u8, 1500));
        assert!(run("ip neigh show 10.77.0.2").contains("managed"));

        bed.peer("ip link set peer0 address 02:00:00:00:77:02");
        run("ip neigh flush dev up0");
        bed.until("the new address is found", || {
            node().dmac == [2, 0, 0, 0, 0x77, 2]
        })
        .await;
        run("ip link set up0 address 02:00:00:00:77:01");
        bed.until("the own address is followed", || {
            node().smac == [2, 0, 0, 0, 0x77, 1]
        })
        .await;
        run("ip link set up0 down");
        bed.until("no way is left", || node().state == NodeState::Down as u8)
            .await;
        run("ip link set up0 up");
        bed.until("the way is back", || node().state == NodeState::Peer as u8)
            .await;
        bed.until("resolved again", || node().dmac != [0; 6]).await;
    });
}

#[test]
fn a_peer_behind_an_interface_that_is_not_listed_is_refused_alone() {
    privileged(async |bed: &Bed| {
        run("ip link add side0 type veth peer name side1");
        run("ip link set side0 up");
        run("ip address add 10.78.0.1/24 dev side0");
        let mut dataplane = bed.open().await.unwrap();
        let plan = bed.plan_with(&["192.0.2.10"], &[(3, "c", &["10.78.0.3"])]);
        let applied = dataplane.apply(&plan).await.unwrap();
        let [
            Refused::Peer {
                node,
                problem: PeerProblem::Interface { interface, .. },
            },
        ] = &applied.refused[..]
        else {
            panic!("{applied:?}");
        };
        assert_eq!((&**node, interface.as_str()), ("c", "side0"));
        assert_eq!(
            dataplane.maps().nodes.get(&3).unwrap().unwrap().state,
            NodeState::Down as u8
        );
        assert_eq!(
            dataplane.maps().nodes.get(&2).unwrap().unwrap().state,
            NodeState::Peer as u8
        );
        assert_eq!(applied.vips, 2);
    });
}

#[test]
fn an_interface_that_comes_back_gets_the_program_again() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let state = || dataplane.maps().nodes.get(&2).unwrap().unwrap().state;
        run("ip link del up0");
        bed.until("no way is left", || state() == NodeState::Down as u8)
            .await;
        bed.connect();
        bed.until("the program is back", || run("ip link show up0").contains("xdp"))
            .await;
        bed.until("the way is back", || state() == NodeState::Peer as u8)
            .await;
        let arp_ignore = || fs::read_to_string("/proc/sys/net/ipv4/conf/up0/arp_ignore").unwrap();
        bed.until("arp_ignore is set", || arp_ignore() == "1\n").await;
        let link = bpftool(&["link", "show", "pinned", &bed.pin("links/xdp-up0")]);
        let shown = run("ip link show up0");
        assert!(
            shown.contains(&format!("prog/xdp id {}", link["prog_id"])),
            "the new link is pinned: {link} {shown}"
        );
    });
}

#[test]
fn nothing_is_served_while_an_interface_is_not_safe() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        fs::write("/proc/sys/net/ipv4/conf/up0/arp_announce", "0").unwrap();
        let without = NoNetAdmin::new();
        let error = dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap_err();
        assert!(
            matches!(&error, ApplyError::Unsafe(_)) && error.to_string().contains("up0"),
            "{error}"
        );
        assert!(dataplane.maps().vip_addrs.entries().unwrap().is_empty());
        drop(without);
        bed.until("it is served again", || {
            !dataplane.maps().vip_addrs.entries().unwrap().is_empty()
        })
        .await;
    });
}

#[test]
fn an_address_that_the_node_does_not_have_is_told() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        run("ip address del fd77::1/64 dev up0");
        let applied = dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let address = "fd77::1".parse().unwrap();
        assert_eq!(
            (applied.vips, applied.refused),
            (2, vec![Refused::Absent { address }])
        );
    });
}

#[test]
fn an_address_of_the_node_s_own_is_no_vip() {
    privileged(async |bed: &Bed| {
        run("ip address add 192.0.2.10/32 dev up0");
        let mut dataplane = bed.open().await.unwrap();
        let applied = dataplane
            .apply(&bed.plan(&["192.0.2.10", "192.0.2.11"]))
            .await
            .unwrap();
        assert_eq!(applied.vips, 2);
        assert!(
            applied
                .refused
                .iter()
                .all(|refused| matches!(refused, Refused::Own { interface, .. } if interface == "up0"))
        );
        assert_eq!(applied.refused.len(), 2);
        assert!(
            run("ip route show table local 192.0.2.10").contains("dev up0"),
            "the kernel's own route is untouched"
        );
    });
}

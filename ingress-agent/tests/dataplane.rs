//! The kernel's side of the agent against the kernel: each test in network and mount namespaces of its own, with a
//! bpffs of its own, all of which end with the test's thread.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's support fails the test; figures go with its output"
)]

#[path = "dataplane/bed.rs"]
mod bed;

use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

use bed::{Bed, NoNetAdmin, bpftool, mac, privileged, run, try_run};
use ingress_agent::xdp::attach::AttachError;
use ingress_agent::xdp::describe::describe;
use ingress_agent::xdp::load::LoadError;
use ingress_agent::xdp::lock::LockError;
use ingress_agent::xdp::node::{Mss, PeerProblem};
use ingress_agent::xdp::pins::PinsError;
use ingress_agent::xdp::{ApplyError, Dataplane, OpenError, Options, Plan, Refused};
use ingress_common::{Ip, NodeState};

#[test]
fn maps_and_links_outlive_the_agent_and_are_adopted() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let map_id = |name: &str| bpftool(&["map", "show", "pinned", &bed.pin(name)])["id"].clone();
        let link = |name: &str| bpftool(&["link", "show", "pinned", &bed.pin(name)]);
        let maps = ["VIP_ADDRS", "SLOTS", "vips/192.0.2.10-80-tcp", "slots/p"];
        let before: Vec<_> = maps.iter().map(|name| map_id(name)).collect();
        let (xdp, steer) = (link("links/xdp-up0"), link("links/steer"));
        drop(dataplane);

        let mut dataplane = bed.open().await.unwrap();
        assert_eq!(
            maps.iter().map(|name| map_id(name)).collect::<Vec<_>>(),
            before,
            "adopted, not made again"
        );
        let replaced = link("links/xdp-up0");
        assert_eq!(replaced["id"], xdp["id"], "the link stays");
        assert_ne!(replaced["prog_id"], xdp["prog_id"], "its program is new");
        assert_eq!(link("links/steer")["id"], steer["id"]);
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        assert_eq!(
            maps.iter().map(|name| map_id(name)).collect::<Vec<_>>(),
            before,
            "the same plan changes nothing"
        );
        assert!(
            run("ip link show up0").contains("xdp"),
            "native mode shows as xdp"
        );
    });
}

#[test]
fn a_vip_has_its_map_its_route_and_its_entry_and_loses_all_three() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let applied = dataplane
            .apply(&bed.plan(&["192.0.2.10", "2001:db8::10"]))
            .await
            .unwrap();
        assert_eq!((applied.vips, applied.refused.len()), (4, 0), "{applied:?}");
        assert_eq!(
            applied.mss,
            Some(Mss {
                v4: 1500 - 64 - 40,
                v6: 1500 - 64 - 60
            })
        );
        let local = run("ip route show table local 192.0.2.10");
        assert!(
            local.contains("dev lo") && local.contains("src 10.77.0.1"),
            "{local}"
        );
        let local = run("ip -6 route show table local 2001:db8::10");
        assert!(
            local.contains("dev lo") && local.contains("src fd77::1"),
            "{local}"
        );
        let backends = run(&format!(
            "bpftool map dump pinned {}",
            bed.pin("vips/192.0.2.10-443-tcp")
        ));
        assert!(
            backends.contains("\"node\": 2") && backends.contains("\"state\": 1"),
            "{backends}"
        );
        let address: Ip = "2001:db8::10".parse::<std::net::IpAddr>().unwrap().into();
        let value = dataplane.maps().vip_addrs.get(&address).unwrap().unwrap();
        assert_eq!(
            (value.count, value.ports[0].port.get(), value.ports[1].port.get()),
            (2, 80, 443)
        );

        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        assert_eq!(dataplane.maps().vip_addrs.get(&address).unwrap(), None);
        assert_eq!(run("ip -6 route show table local 2001:db8::10"), "");
        assert!(!fs::exists(bed.pin("vips/2001:db8::10-80-tcp")).unwrap());
        assert!(fs::exists(bed.pin("vips/192.0.2.10-80-tcp")).unwrap());
    });
}

#[test]
fn every_map_made_at_run_time_shows_its_fields() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        for (map, field) in [
            ("vips/192.0.2.10-80-tcp", "\"node\":"),
            ("slots/p", "\"owner\":"),
            ("VIP_ADDRS", "\"policy\":"),
            ("NODES", "\"header_sum\":"),
            ("CONFIG", "\"tunnel_port\":"),
            ("HEARTBEAT", "\"monotonic_ns\":"),
        ] {
            let dump = run(&format!("bpftool map dump pinned {}", bed.pin(map)));
            assert!(dump.contains(field), "{map}: {}", &dump[..dump.len().min(400)]);
        }
    });
}

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
fn a_thousand_vips_are_one_swap() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let addresses: Vec<String> = (0..500)
            .map(|index| format!("198.51.{}.{}", index / 250, index % 250))
            .collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let applied = dataplane.apply(&bed.plan(&addresses)).await.unwrap();
        assert_eq!(applied.vips, 1000);
        println!("1,000 VIPs took {:?}", applied.took);
        let again = dataplane.apply(&bed.plan(&addresses)).await.unwrap();
        println!("the same plan took {:?}", again.took);
        assert!(
            applied.took < Duration::from_secs(5),
            "{:?}: one wait for running programs per VIP would be 11 s",
            applied.took
        );
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

#[test]
fn a_thousand_plans_leave_nothing_behind() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let plans = [
            bed.plan(&["192.0.2.10", "192.0.2.11"]),
            bed.plan(&["192.0.2.11", "2001:db8::11"]),
            Plan::default(),
        ];
        for round in 0..1000 {
            dataplane.apply(&plans[round % plans.len()]).await.unwrap();
        }
        dataplane.apply(&plans[2]).await.unwrap();
        for directory in ["vips", "slots"] {
            assert_eq!(
                fs::read_dir(bed.pin(directory)).unwrap().count(),
                0,
                "{directory}"
            );
        }
        assert!(dataplane.maps().vip_addrs.entries().unwrap().is_empty());
        assert_eq!(run("ip route show table local proto 116"), "");
        assert_eq!(run("ip neigh show nud all proto 116"), "");
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(descriptors < 200, "{descriptors} open descriptors");
    });
}

#[test]
fn a_second_agent_is_refused() {
    privileged(async |bed: &Bed| {
        let first = bed.open().await.unwrap();
        let other = tempfile::tempdir().unwrap();
        let same_run_dir = Options {
            pin_dir: bed.root().join("bpf/other"),
            ..bed.options()
        };
        let same_pins = Options {
            run_dir: other.path().to_owned(),
            ..bed.options()
        };
        for options in [bed.options(), same_run_dir, same_pins] {
            let error = Dataplane::open(options).await.unwrap_err();
            let OpenError::Lock(LockError::Held { holder, .. }) = &error else {
                panic!("{error}")
            };
            assert_eq!(*holder, Some(std::process::id()));
        }
        assert!(!fs::exists(bed.root().join("bpf/other")).unwrap(), "undone");
        drop(first);
        bed.open().await.unwrap();
    });
}

#[test]
fn another_program_is_refused_and_stays() {
    privileged(async |bed: &Bed| {
        let mut other = bed.foreign("up0");
        let before = run("ip link show up0");
        let error = bed.open().await.unwrap_err();
        let OpenError::Attach(AttachError::Foreign {
            interface,
            program,
            name,
        }) = &error
        else {
            panic!("{error}")
        };
        assert_eq!(interface, "up0");
        assert!(before.contains(&format!("id {program}")), "{before}");
        assert_eq!(name.as_deref(), Some("ingress_xdp"));
        assert_eq!(run("ip link show up0"), before);
        assert!(!fs::exists(bed.pin("")).unwrap(), "nothing of the start is left");
        other.detach();
        bed.until("it is detached", || !run("ip link show up0").contains("xdp"))
            .await;
        bed.open().await.unwrap();
    });
}

#[test]
fn pins_that_do_not_fit_are_refused() {
    privileged(async |bed: &Bed| {
        drop(bed.open().await.unwrap());
        let wrong = |create: &str| {
            fs::remove_file(bed.pin("CONFIG")).unwrap();
            run(&format!(
                "bpftool map create {} {create} name CONFIG",
                bed.pin("CONFIG")
            ));
        };
        for (create, wanted) in [
            ("type hash key 4 value 64 entries 1", ("type", 1, 2)),
            ("type array key 4 value 128 entries 1", ("value size", 128, 64)),
            ("type array key 4 value 64 entries 9", ("max_entries", 9, 1)),
            (
                "type array key 4 value 64 entries 1 flags 0x80",
                ("flags", 0x80, 0),
            ),
        ] {
            wrong(create);
            let error = bed.open().await.unwrap_err();
            let OpenError::Load(LoadError::Pin {
                field,
                found,
                expected,
                pin,
            }) = &error
            else {
                panic!("{error}")
            };
            assert_eq!((*field, *found, *expected), wanted, "{error}");
            assert!(pin.ends_with("CONFIG"));
        }
        assert!(
            fs::exists(bed.pin("links/xdp-up0")).unwrap(),
            "the links are left alone"
        );

        fs::remove_file(bed.pin("layout")).unwrap();
        std::os::unix::fs::symlink("99", bed.pin("layout")).unwrap();
        let error = bed.open().await.unwrap_err();
        assert!(
            matches!(&error, OpenError::Pins(PinsError::Layout { found, .. }) if found == "99"),
            "{error}"
        );
        fs::remove_file(bed.pin("layout")).unwrap();
        let error = bed.open().await.unwrap_err();
        assert!(
            matches!(&error, OpenError::Pins(PinsError::Layout { found, .. }) if found == "unknown"),
            "{error}"
        );
    });
}

#[test]
fn what_is_missing_at_a_start_is_named_and_nothing_is_left() {
    privileged(async |bed: &Bed| {
        let with = |interface: &str| Options {
            interfaces: vec![interface.to_owned()],
            ..bed.options()
        };
        let plain = Options {
            pin_dir: bed.root().join("no/bpffs"),
            ..bed.options()
        };
        let error = Dataplane::open(plain).await.unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
        let error = Dataplane::open(with("nosuch0")).await.unwrap_err();
        assert!(
            matches!(&error, OpenError::UnknownInterface { present, .. } if present.contains("up0")),
            "{error}"
        );
        let error = Dataplane::open(with("lo")).await.unwrap_err();
        assert!(matches!(error, OpenError::Loopback { .. }), "{error}");
        let error = Dataplane::open(Options {
            interfaces: vec![],
            ..bed.options()
        })
        .await
        .unwrap_err();
        assert!(matches!(error, OpenError::NoInterface), "{error}");
        run("ip link set up0 down");
        let error = bed.open().await.unwrap_err();
        assert!(matches!(error, OpenError::Down { .. }), "{error}");
        assert!(!fs::exists(bed.pin("")).unwrap(), "nothing is left");
        // A dummy driver without native XDP: the loopback of a tunnel device.
        if try_run("ip link add gre9 type gre local 10.77.0.1 remote 10.77.0.9").is_some() {
            run("ip link set gre9 up");
            let error = Dataplane::open(with("gre9")).await.unwrap_err();
            assert!(
                matches!(&error, OpenError::Attach(AttachError::NoNative { .. })),
                "{error}"
            );
            assert!(!fs::exists(bed.pin("")).unwrap(), "nothing is left");
        }
    });
}

#[test]
fn a_missing_capability_is_named() {
    privileged(async |bed: &Bed| {
        let without = NoNetAdmin::new();
        let error = bed.open().await.unwrap_err();
        assert!(matches!(error, OpenError::Privilege(_)), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("missing CAP_NET_ADMIN: run as root"),
            "{error}"
        );
        drop(without);
        bed.open().await.unwrap();
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
fn an_interface_that_is_no_longer_listed_is_let_go() {
    privileged(async |bed: &Bed| {
        run("ip link add side0 type veth peer name side1");
        run("ip link set side0 up");
        let both = Options {
            interfaces: vec!["up0".into(), "side0".into()],
            ..bed.options()
        };
        drop(bed.open_with(both).await.unwrap());
        assert!(run("ip link show side0").contains("xdp"));
        drop(bed.open().await.unwrap());
        assert!(!run("ip link show side0").contains("xdp"));
        assert!(run("ip link show up0").contains("xdp"));
        assert!(!fs::exists(bed.pin("links/xdp-side0")).unwrap());
    });
}

#[test]
fn jumbo_frames_get_the_other_entry() {
    privileged(async |bed: &Bed| {
        bed.peer("ip link set peer0 mtu 9000");
        run("ip link set up0 mtu 9000");
        let _dataplane = bed.open().await.unwrap();
        let link = bpftool(&["link", "show", "pinned", &bed.pin("links/xdp-up0")]);
        let program = bpftool(&["prog", "show", "id", &link["prog_id"].to_string()]);
        assert_eq!(program["name"], "ingress_frags");
    });
}

#[test]
fn the_heartbeat_is_the_kernel_s_clock_and_stops() {
    privileged(async |bed: &Bed| {
        let dataplane = bed.open().await.unwrap();
        let writer = dataplane.heartbeat().unwrap();
        let read = || dataplane.maps().heartbeat.get(&0).unwrap().unwrap().monotonic_ns;
        std::thread::scope(|scope| scope.spawn(|| writer.beat().unwrap()).join().unwrap());
        let first = read();
        writer.beat().unwrap();
        assert!(first > 0 && read() > first);
        writer.stop().unwrap();
        assert_eq!(read(), 0);
    });
}

/// The programs, the maps and the routes together: a connection from the neighbour to a VIP that no interface has.
#[test]
fn a_connection_to_a_vip_reaches_the_listener() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane
            .apply(&bed.plan_alone(&["192.0.2.10", "2001:db8::10"]))
            .await
            .unwrap();
        bed.peer("ip route add 192.0.2.10 via 10.77.0.1");
        bed.peer("ip -6 route add 2001:db8::10 via fd77::1");
        let v4 = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let v6 = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
        dataplane.set_listeners(v4.as_fd(), v6.as_fd()).unwrap();
        let writer = dataplane.heartbeat().unwrap();
        for (listener, url, vip) in [
            (&v4, "http://192.0.2.10/", "192.0.2.10:80"),
            (&v6, "http://[2001:db8::10]:443/", "[2001:db8::10]:443"),
        ] {
            let mut client = bed.peer_spawn(&format!("curl --silent --http0.9 --max-time 5 {url}"));
            let accepted = loop {
                writer.beat().unwrap();
                if let Ok(accepted) =
                    tokio::time::timeout(Duration::from_millis(100), listener.accept()).await
                {
                    break accepted;
                }
                assert!(
                    client.try_wait().unwrap().is_none(),
                    "{url}: no connection\n{}",
                    describe(&bed.pins()).unwrap()
                );
            };
            let (stream, from) = accepted.unwrap();
            assert_eq!(stream.local_addr().unwrap().to_string(), vip);
            assert!(
                ["10.77.0.2", "fd77::2"].contains(&from.ip().to_string().as_str()),
                "{from}"
            );
            stream.try_write(b"hello").unwrap();
            drop(stream);
            client.wait().unwrap();
        }
        let text = describe(&bed.pins()).unwrap();
        assert!(text.reasons["kept"].packets >= 6, "{text}");
        assert!(text.vips["192.0.2.10-80-tcp"].received.packets >= 3, "{text}");

        let refused = bed
            .peer_spawn("curl --silent --max-time 2 http://192.0.2.10:81/")
            .wait()
            .unwrap();
        assert!(!refused.success(), "a port that no VIP has");
        assert!(describe(&bed.pins()).unwrap().reasons["no_port"].packets > 0);
    });
}

#[test]
fn listeners_are_named_and_may_be_named_again() {
    privileged(async |bed: &Bed| {
        let dataplane = bed.open().await.unwrap();
        for _ in 0..2 {
            let v4 = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let v6 = std::net::TcpListener::bind("[::1]:0").unwrap();
            dataplane.set_listeners(v4.as_fd(), v6.as_fd()).unwrap();
        }
    });
}

#[test]
fn the_maps_are_told_in_words_with_and_without_an_agent() {
    privileged(async |bed: &Bed| {
        let dir = bed.pins();
        assert!(describe(&dir).unwrap_err().to_string().contains("no pins"));
        let mut dataplane = bed.open().await.unwrap();
        assert!(describe(&dir).unwrap().to_string().contains("not configured"));
        dataplane
            .apply(&bed.plan(&["192.0.2.10", "2001:db8::10"]))
            .await
            .unwrap();
        dataplane.heartbeat().unwrap().beat().unwrap();
        let text = describe(&dir).unwrap().to_string();
        for part in [
            "this node: number 1, tunnels from 10.77.0.1 and fd77::1 port 6080",
            "takes new connections",
            "  1  local  10.77.0.1\n",
            "  2  peer  10.77.0.2 from 10.77.0.1 by interface ",
            "  192.0.2.10-80-tcp  pool p; node 1 active, node 2 active; received ",
            "  2001:db8::10-443-tcp  pool p; ",
            "  p  node 1 ",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("key"), "no secrets");
        drop(dataplane);
        let again = describe(&dir).unwrap();
        assert_eq!(
            (again.vips.len(), again.pools["p"].slots.values().sum::<usize>()),
            (4, 65_536)
        );
        assert!(
            serde_json::to_string(&again)
                .unwrap()
                .contains("\"tunnel_port\":6080")
        );
    });
}

//! VIPs: maps, numbers, names and connections.

use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

use ingress_agent::xdp::Plan;
use ingress_agent::xdp::describe::describe;
use ingress_agent::xdp::node::Mss;
use ingress_common::Ip;

use crate::bed::{Bed, privileged, run};

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
fn a_thousand_plans_leave_nothing_behind() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        let plans = [
            bed.plan(&["192.0.2.10", "192.0.2.11"]),
            bed.plan(&["192.0.2.11", "2001:db8::11"]),
            Plan::default(),
        ];
        for round in 0..1000 {
            let plan = if round % 50 == 49 {
                &plans[2]
            } else {
                &plans[round % 2]
            };
            dataplane.apply(plan).await.unwrap();
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

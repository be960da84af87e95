//! A start: what is adopted, what is refused, and what is left when it fails.

use std::fs;

use ingress_agent::xdp::attach::AttachError;
use ingress_agent::xdp::load::LoadError;
use ingress_agent::xdp::lock::LockError;
use ingress_agent::xdp::pins::PinsError;
use ingress_agent::xdp::unload::{UnloadError, unload};
use ingress_agent::xdp::{Dataplane, OpenError, Options};

use crate::bed::{Bed, NoNetAdmin, bpftool, privileged, run, try_run};

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
fn what_a_process_left_half_done_is_cleared_and_harms_nothing() {
    privileged(async |bed: &Bed| {
        let mut dataplane = bed.open().await.unwrap();
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let link = bpftool(&["link", "show", "pinned", &bed.pin("links/xdp-up0")]);
        drop(dataplane);
        // As if the process had ended after the pin and before the map of maps, or before the pin took its place.
        run(&format!(
            "bpftool link pin id {} {}",
            link["id"],
            bed.pin("links/.new-xdp-up0")
        ));
        for (pin, value) in [("slots/p", 393_216), ("vips/192.0.2.10-80-tcp", 4)] {
            fs::remove_file(bed.pin(pin)).unwrap();
            let entries = if value == 4 { 4096 } else { 1 };
            let map = format!("type array key 4 value {value} entries {entries} name other");
            run(&format!("bpftool map create {} {map}", bed.pin(pin)));
        }

        let mut dataplane = bed.open().await.unwrap();
        assert_eq!(
            bpftool(&["link", "show", "pinned", &bed.pin("links/xdp-up0")])["id"],
            link["id"]
        );
        assert!(run("ip link show up0").contains("xdp"));
        assert!(!fs::exists(bed.pin("links/.new-xdp-up0")).unwrap());
        dataplane.apply(&bed.plan(&["192.0.2.10"])).await.unwrap();
        let told = ingress_agent::xdp::describe::describe(&bed.pins()).unwrap();
        assert_eq!(told.vips["192.0.2.10-80-tcp"].pool, "p");
        assert_eq!(told.vips["192.0.2.10-80-tcp"].backends.len(), 2);
        assert_eq!(told.pools.keys().collect::<Vec<_>>(), ["p"]);
        assert!(
            told.pools["p"].slots.len() == 2 && told.pools["p"].number.is_some(),
            "{told}"
        );
    });
}

#[test]
fn unloading_takes_down_everything_but_not_a_running_agent_s() {
    privileged(async |bed: &Bed| {
        let options = bed.options();
        let error = unload(&options.run_dir, &options.pin_dir).await.unwrap_err();
        assert!(matches!(error, UnloadError::Nothing { .. }), "{error}");
        let mut dataplane = bed.open().await.unwrap();
        dataplane
            .apply(&bed.plan(&["192.0.2.10", "2001:db8::10"]))
            .await
            .unwrap();
        let error = unload(&options.run_dir, &options.pin_dir).await.unwrap_err();
        assert!(matches!(error, UnloadError::Lock(_)), "{error}");
        assert!(
            run("ip link show up0").contains("xdp"),
            "refused before anything is touched"
        );
        drop(dataplane);
        assert!(
            !run("ip route show table local proto 116").is_empty(),
            "routes outlive the agent"
        );

        let unloaded = bed.unload().await;
        assert_eq!(
            (unloaded.interfaces, unloaded.addresses.len()),
            (vec!["up0".to_owned()], 2)
        );
        assert!(!fs::exists(&options.pin_dir).unwrap());
        assert!(!run("ip link show up0").contains("xdp"));
        assert_eq!(run("ip route show table local proto 116"), "");
        assert_eq!(run("ip -6 route show table local proto 116"), "");
        assert_eq!(run("ip neigh show nud all proto 116"), "");
    });
}

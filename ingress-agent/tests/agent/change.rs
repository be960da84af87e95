//! Edits under load: 200 of routes, certificates, endpoints and classes, and no request fails, no tunnel and no
//! download breaks (spec SL-6).
//!
//! `LEDGER_REQUESTS` sets how many requests are sent at least (200,000 by default).

#[path = "change/tenants.rs"]
mod tenants;
#[path = "change/world.rs"]
mod world;

use std::env;
use std::sync::Arc;

use world::{Edit, World};

use crate::ledger::{Cause, Download, Load, Target, Trust, Tunnel};

/// Edits in all.
const EDITS: usize = 200;

fn requests() -> u64 {
    let asked = env::var("LEDGER_REQUESTS").ok();
    asked.map_or(200_000, |asked| asked.parse().expect("LEDGER_REQUESTS=NUMBER"))
}

#[test]
fn no_edit_fails_a_request() {
    let mut world = World::start();
    let trust = Trust::in_ca(&world.authority.certificate, false);
    world.trust = Some(Arc::clone(&trust));
    let secure = Load {
        tls: Some(trust),
        connections: 4,
        per_connection: 50,
        ..Load::at(world.edits.agent.tls)
    };
    let h2 = Load {
        connections: 6,
        ..secure.clone()
    };
    let fresh = Load {
        connections: 2,
        per_connection: 1,
        ..Load::at(world.edits.agent.plain)
    };
    let plain = Load {
        connections: 10,
        ..Load::at(world.edits.agent.plain)
    };
    let (all, secured) = (world.targets.all(), world.targets.secured());
    let book = Arc::clone(&world.book);
    let loads = [
        plain.start(&book, &all),
        fresh.start(&book, &all),
        secure.start(&book, &secured),
        h2.start_h2(&book, &secured),
    ];
    // Over routes that are edited too, and to pods that stay.
    let hosts = ["steady", "moved", "scaled", "bystander"].map(|tenant| format!("{tenant}.test"));
    let address = world.edits.agent.plain;
    let mut tunnels: Vec<_> = hosts
        .iter()
        .cycle()
        .take(50)
        .map(|host| Tunnel::open(address, host))
        .collect();
    let downloads =
        ["steady.test", "moved.test", "bystander.test"].map(|host| Download::begin(address, host));
    let requests = requests();
    let sent = || loads.iter().map(|load| load.sent()).sum::<u64>();
    let failed = || loads.iter().map(|load| load.failed()).sum::<u64>();
    for number in 0..EDITS {
        // Spread over the load, unless something has failed, which is told at once.
        let due = requests * number as u64 / EDITS as u64;
        while sent() < due && failed() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        world.edit(Edit::of(number));
        tunnels[number % 50].assert_open(number as u64);
    }
    while sent() < requests && failed() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    tunnels.iter_mut().for_each(|tunnel| tunnel.assert_open(1));
    world.end_downloads();
    for download in downloads {
        assert!(download.finish() > 10);
    }
    let ledgers = loads.map(|load| load.finish());
    for ledger in &ledgers {
        println!("{ledger}");
    }
    println!("{}", world.edits.took());
    ledgers.iter().for_each(|ledger| ledger.assert_clean());
}

/// That the ledger sees what an edit breaks: the only endpoint goes away, a tenant's pod answers for another.
#[test]
fn a_harmful_edit_is_told_by_cause() {
    let mut world = World::start();
    let book = Arc::clone(&world.book);
    let steady = Target::get("steady", "steady.test", "/", &["steady"]);
    let running = Load::at(world.edits.agent.plain).start(&book, &[steady]);
    running.wait_for(100);
    world.lose_the_only_endpoint();
    let ledger = running.finish_after(500);
    assert_eq!(
        ledger.failed.keys().collect::<Vec<_>>(),
        [&Cause::Status5xx],
        "{ledger}"
    );
    assert_eq!(ledger.unknown(), 0);

    let mut world = World::start();
    let book = Arc::clone(&world.book);
    let target = Target::get("other", "moved.test", "/", &["a"]);
    let ledger = Load::at(world.edits.agent.plain)
        .start(&book, &[target])
        .finish_after(100);
    assert_eq!(
        ledger.failed.keys().collect::<Vec<_>>(),
        [&Cause::WrongBackend],
        "{ledger}"
    );
    assert!(world.edits.agent.stop());
}

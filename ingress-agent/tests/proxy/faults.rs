//! One pod of three goes wrong under constant load: no GET fails and no POST comes to a pod twice (spec safety 13,
//! row 8; OP-9).

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use ingress_agent::proxy::HealthState;

use crate::bed::{Bed, site, under};
use crate::failing::one_second;
use crate::ledger::{Book, Cause, Fault, Ledger, Load, Pod, Target};

const PODS: [&str; 3] = ["a", "b", "c"];
/// Clients of each method.
const CLIENTS: usize = 12;

/// What became of the POSTs.
struct Outcome {
    posts: Ledger,
    /// What reached the third pod after it was out of use, probes too.
    after: u64,
}

/// Three pods under load, the third of which goes wrong. `within` this time it is out of use in this `state`, and
/// is watched as long again.
fn outcome(go_wrong: impl FnOnce(&Pod), state: HealthState, within: Duration) -> Outcome {
    let book = Book::new();
    let pods = PODS.map(|name| Pod::start(&book, IpAddr::V4(Ipv4Addr::LOCALHOST), "shop", name));
    let addresses = pods.each_ref().map(|pod| pod.address);
    let bed = Bed::start(under(site(&[("a.test", "/", &addresses)]), &one_second()));
    let load = Load {
        connections: CLIENTS,
        rate: Some(500.0),
        ..Load::at(bed.plain())
    };
    let target = |of: fn(&str, &str, &str, &[&str]) -> _| of("shop", "a.test", "/", &PODS);
    let gets = load.clone().start(&book, &[target(Target::get)]);
    let posts = load.start(&book, &[target(Target::post)]);
    gets.wait_for(100);
    posts.wait_for(100);
    go_wrong(&pods[2]);
    thread::sleep(within);
    let health = bed.proxy.endpoints();
    let third = health.iter().find(|endpoint| endpoint.address == addresses[2]);
    assert_eq!(third.unwrap().state, state);
    let before = pods[2].requests();
    thread::sleep(within);
    let after = pods[2].requests() - before;
    gets.finish().assert_clean();
    let posts = posts.finish();
    assert_eq!((posts.duplicated, posts.unknown()), (0, 0), "{posts}");
    // A POST that may have been done is lost, and the client hears that.
    assert!(
        posts.failed.keys().all(|&cause| cause == Cause::Status5xx),
        "{posts}"
    );
    Outcome { posts, after }
}

#[test]
fn a_killed_pod_costs_no_get_and_doubles_no_post() {
    let Outcome { posts, after } = outcome(Pod::kill, HealthState::Unreachable, Duration::from_secs(1));
    assert!(
        posts.failures() <= CLIENTS as u64,
        "only what was under way: {posts}"
    );
    assert_eq!(after, 0);
}

#[test]
fn a_refusing_pod_costs_nobody_a_request() {
    let refuse = |pod: &Pod| pod.fail(Fault::Refuse);
    let Outcome { posts, after } = outcome(refuse, HealthState::Unreachable, Duration::from_secs(1));
    posts.assert_clean();
    assert_eq!(after, 0);
}

#[test]
fn a_hung_pod_costs_no_get_and_doubles_no_post() {
    let hang = |pod: &Pod| pod.fail(Fault::Hang);
    let Outcome { posts, after } = outcome(hang, HealthState::Silent, Duration::from_millis(2500));
    let failed = posts.failures();
    assert!(
        (1..=CLIENTS as u64).contains(&failed),
        "each client may meet it once: {posts}"
    );
    assert!(after <= 3, "{after} requests and probes");
}

#[test]
fn a_pod_that_resets_after_the_head_costs_no_get_and_doubles_no_post() {
    let reset = |pod: &Pod| pod.fail(Fault::Reset);
    let Outcome { posts, after } = outcome(reset, HealthState::Silent, Duration::from_secs(1));
    assert!((1..=2 * CLIENTS as u64).contains(&posts.failures()), "{posts}");
    assert!(after <= 2, "{after} requests and probes");
}

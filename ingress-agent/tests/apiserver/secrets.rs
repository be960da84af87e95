//! Secrets: asked for when an Ingress names them, and never for a moment without the certificate.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::cluster::{Cluster, ingress_tls};

#[test]
fn a_secret_is_read_when_an_ingress_names_it_and_rotates() {
    let cluster = Cluster::audited();
    cluster.pair("default", "another", "another.test");
    let others = ingress_tls("another", "another.test", "red", "another");
    cluster.apply(&others.replace("ingressClassName: xdp", "ingressClassName: nginx"));
    let _agent = cluster.agent("agent");
    let first = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    cluster.eventually("https", |cluster| cluster.get_tls("shop.test", "/").0 == "200");
    cluster.eventually("its certificate", |cluster| cluster.shown("shop.test") == first);
    let second = cluster.pair("default", "pair", "shop.test");
    cluster.eventually("another", |cluster| cluster.shown("shop.test") == second);

    // Deleted, made anew as what cannot be one, and right again.
    cluster.kubectl(&["delete", "secret", "pair"]);
    cluster.eventually("the default one", |cluster| cluster.shown("shop.test") != second);
    cluster.kubectl(&["create", "secret", "generic", "pair", "--from-literal=note=a"]);
    assert!(![&*first, &*second].contains(&&*cluster.shown("shop.test")));
    cluster.kubectl(&["delete", "secret", "pair"]);
    let third = cluster.pair("default", "pair", "shop.test");
    cluster.eventually("a third", |cluster| cluster.shown("shop.test") == third);

    // No other Secret's body is ever asked for.
    let events = cluster.audited_events();
    let gets = events.iter().filter(|event| {
        let is_agent = event["userAgent"].as_str().is_none_or(str::is_empty);
        is_agent && event["verb"] == "get" && event["objectRef"]["resource"] == "secrets"
    });
    let names: HashSet<_> = gets
        .filter_map(|event| event["objectRef"]["name"].as_str())
        .collect();
    assert_eq!(names, HashSet::from(["pair"]));
}

#[test]
fn a_host_is_never_without_certificate_while_its_ingress_comes_to_name_another_secret() {
    let cluster = Cluster::start();
    let first = cluster.pair("default", "pair-0", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair-0"));
    let _agent = cluster.agent("agent");
    cluster.eventually("the first", |cluster| cluster.shown("shop.test") == first);

    let done = AtomicBool::new(false);
    let look = || {
        let mut seen = HashSet::new();
        while !done.load(Ordering::Relaxed) {
            seen.insert(cluster.shown("shop.test"));
        }
        seen
    };
    let (made, seen) = std::thread::scope(|scope| {
        let lookers = [scope.spawn(look), scope.spawn(look)];
        let mut made = HashSet::from([first]);
        for number in 1..6 {
            let name = format!("pair-{number}");
            let pair = cluster.pair("default", &name, "shop.test");
            cluster.apply(&ingress_tls("shop", "shop.test", "red", &name));
            cluster.eventually("the next", |cluster| cluster.shown("shop.test") == pair);
            made.insert(pair);
        }
        done.store(true, Ordering::Relaxed);
        let seen: HashSet<_> = lookers
            .into_iter()
            .flat_map(|looker| looker.join().unwrap())
            .collect();
        (made, seen)
    });
    let others: Vec<_> = seen.difference(&made).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// OP-15: nothing but time makes it invalid.
#[test]
fn a_certificate_that_ends_is_told_when_it_ends() {
    let cluster = Cluster::start();
    let ends = SystemTime::now() + Duration::from_secs(12);
    cluster.pair_until("default", "pair", "shop.test", ends);
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    let agent = cluster.agent("agent");
    let degraded = || cluster.metric("agent", "ingress_agent_findings{verdict=\"degraded\"}");
    assert!(SystemTime::now() < ends, "too slow to see it");
    assert_eq!(degraded(), 0);
    let expired = "a certificate that expired less than a day ago";
    agent.wait_for_log(expired, 0, Duration::from_secs(30)).unwrap();
    assert_eq!(degraded(), 1);
    assert!(SystemTime::now() >= ends);
}

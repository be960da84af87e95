//! The API server stopped for a minute, and an agent that is killed and started again meanwhile (OP-6).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use xtask::lab::{Connections, Traffic, VIP_V4, VIP_V6};

use super::cluster::{Cluster, PATIENCE, POOL};
use super::crash::HEARTBEAT;

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);
/// From the restarted agent's exec until it answers a request.
const AT_ONCE: Duration = Duration::from_secs(2);
const URL: &str = "http://shop.test/";

#[test]
fn a_minute_without_the_api_server_fails_no_request_although_an_agent_restarts() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.apply(POOL);
    for number in 1..=3 {
        cluster.spawn(number);
    }
    cluster.eventually("the address in the status", |cluster| {
        cluster.addresses("shop") == format!("{VIP_V4} {VIP_V6}")
    });
    cluster.eventually("an answer, by all that they know", |cluster| {
        cluster.serves(VIP_V4) && (1..=3).all(|number| cluster.state(number).join("snapshot").exists())
    });
    // It is saved, once it has changed, at most every 5 s.
    sleep(Duration::from_secs(6));
    let leader = cluster.leader();
    let victim = leader.strip_prefix("node").unwrap().parse().unwrap();

    cluster.plane.kill_server().unwrap();
    let begin = Instant::now();
    let start = |cluster: &Cluster| {
        [VIP_V4, VIP_V6].map(|vip| Traffic::start(cluster.lab.client(), vip, URL).unwrap())
    };
    let to = SocketAddr::new(VIP_V4, 80);
    let pace = Duration::from_millis(250);
    let held = Connections::open(cluster.lab.client(), to, "shop.test", 60, pace).unwrap();
    let traffic = start(&cluster);
    // Longer than the Leases last.
    sleep(Duration::from_secs(20).saturating_sub(begin.elapsed()));
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        assert!(sent.sent > 100 && sent.failed == 0, "{sent:?}");
    }

    let killed = cluster.take(victim);
    killed.signal(Signal::KILL).unwrap();
    sleep(HEARTBEAT);
    let traffic = start(&cluster);
    let restart = Instant::now();
    cluster.spawn(victim);
    let asked = (VIP_V4, "shop.test", "/");
    let answered = cluster
        .lab
        .client()
        .first_answer_by(victim, asked, PATIENCE)
        .unwrap();
    let took = answered - restart;
    eprintln!("node{victim} serves {took:?} after its start");
    sleep(AWAY.saturating_sub(begin.elapsed()));

    cluster.plane.start_server().unwrap();
    cluster.apply(LATER);
    cluster.eventually("what was made after it", |cluster| {
        cluster.lab.client().echo(VIP_V4, "http://later.test/").is_ok()
    });
    cluster.eventually("its address", |cluster| {
        cluster.addresses("later") == format!("{VIP_V4} {VIP_V6}")
    });
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        assert!(sent.sent > 100 && sent.failed == 0, "{sent:?}");
    }
    held.wait_for_answers(2, Duration::from_secs(10)).unwrap();
    let held = held.close().unwrap();
    assert!(held.iter().any(|held| held.owner == Some(victim)));
    for held in held {
        assert!(
            held.owner == Some(victim) || held.end.is_none(),
            "another node's connection was lost: {held:?}"
        );
    }
    assert!(took < AT_ONCE, "{took:?}");
    // Trouble that lasts is told once, or once for each way in which it shows.
    for (number, agent) in &cluster.agents {
        let log = agent.log();
        let mut told: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, after) in log.lines().filter_map(|line| line.split_once("doing=")) {
            let (doing, _) = after.split_once(" error=").unwrap_or((after, ""));
            *told.entry(doing).or_default() += 1;
        }
        assert!(
            told.len() > 1 && told.values().all(|count| *count < 12),
            "node{number}: {told:?}"
        );
    }
}

const LATER: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: later}
spec:
  ingressClassName: xdp
  rules:
  - host: later.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: red, port: {number: 80}}}}]}
";

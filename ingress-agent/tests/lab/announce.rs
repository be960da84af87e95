//! Nodes announce the VIPs to the router by BGP: BIRD on each node, by `deploy/bird.conf`, and on the router.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ingress_common::Reason;
use rustix::process::Signal;
use xtask::lab::NodeState::{Active, Draining};
use xtask::lab::{Agent, Bird, Connections, Lab, Traffic, VIP_V4, VIP_V6, node_addresses};

use super::crash::HEARTBEAT;
use super::{Running, eventually};

const URL: &str = "http://shop.example.test/";
/// How long BGP may take; a busy machine needs seconds.
const CONVERGED: Duration = Duration::from_secs(30);

/// A lab whose VIPs are routed by BGP alone; BIRDs by their node.
struct Announced {
    running: Running,
    birds: Vec<Bird>,
    router: Bird,
}

impl Announced {
    fn start() -> Option<Self> {
        let running = Running::start()?;
        let lab = &running.lab;
        let router = lab.spawn_router_bird().unwrap();
        let birds = (1..=3).map(|node| lab.spawn_bird(node).unwrap()).collect();
        let announced = Self {
            running,
            birds,
            router,
        };
        announced.routed_to("at the start", &[1, 2, 3]);
        Some(announced)
    }

    /// Waits until the router has both VIPs from these nodes alone.
    fn routed_to(&self, when: &str, nodes: &[u8]) {
        let what = format!("{when}: the VIPs by way of {nodes:?}");
        let start = Instant::now();
        eventually(&what, CONVERGED, || routes(&self.running.lab) == hops(nodes));
        eprintln!("{what} after {:?}", start.elapsed());
    }
}

/// The router's next hops to the IPv4 and the IPv6 VIP.
fn routes(lab: &Lab) -> [BTreeSet<IpAddr>; 2] {
    [VIP_V4, VIP_V6].map(|vip| lab.router().next_hops(vip).unwrap())
}

fn hops(nodes: &[u8]) -> [BTreeSet<IpAddr>; 2] {
    let addresses = || nodes.iter().map(|node| node_addresses(*node));
    [
        addresses().map(|[v4, _]| v4).collect(),
        addresses().map(|[_, v6]| v6).collect(),
    ]
}

/// The packets for VIPs that came to a node from the router.
fn entered(lab: &Lab, node: u8) -> u64 {
    let counters = lab.counters(node).unwrap();
    counters.get(Reason::Kept) + counters.get(Reason::Forwarded)
}

#[test]
fn vips_enter_at_every_node_and_a_draining_node_is_withdrawn_before_it_closes() {
    let Some(mut announced) = Announced::start() else {
        return;
    };
    let lab = &announced.running.lab;
    let before = [1, 2, 3].map(|node| entered(lab, node));
    let pace = Duration::from_millis(500);
    let held = [VIP_V4, VIP_V6].map(|vip| {
        let to = SocketAddr::new(vip, 80);
        Connections::open(lab.client(), to, "shop.example.test", 60, pace).unwrap()
    });
    for (node, before) in (1..=3).zip(before) {
        assert!(entered(lab, node) > before, "nothing entered at node{node}");
    }
    let traffic = [VIP_V4, VIP_V6].map(|vip| Traffic::start(lab.client(), vip, URL).unwrap());

    lab.manifests()
        .set_nodes(&[(1, Active), (2, Draining), (3, Active)])
        .unwrap();
    announced.routed_to("node2 is to drain", &[1, 3]);
    lab.manifests()
        .set_nodes(&[(1, Active), (2, Active), (3, Active)])
        .unwrap();
    announced.routed_to("node2 is active again", &[1, 2, 3]);
    for connections in held {
        connections.wait_for_answers(2, CONVERGED).unwrap();
        let held = connections.close().unwrap();
        assert!(held.iter().any(|held| held.owner == Some(2)));
        assert!(held.iter().all(|held| held.end.is_none()), "{held:?}");
    }

    let victim = announced.running.take(2);
    let lab = &announced.running.lab;
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    let echo = lab.client().echo(VIP_V4, "http://shop.example.test/?slow=8000");
                    (echo.unwrap().node(), Instant::now())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_secs(1));
        victim.process().signal(Signal::TERM).unwrap();
        announced.routed_to("node2's agent is told to stop", &[1, 3]);
        let withdrawn = Instant::now();
        let ends = slow.into_iter().map(|slow| slow.join().unwrap());
        let own = ends.filter(|(node, _)| *node == Some(2));
        let ends: Vec<_> = own.map(|(_, end)| end).collect();
        assert!(!ends.is_empty(), "no request was node2's");
        assert!(
            ends.iter().all(|end| *end > withdrawn),
            "its requests were not open any more"
        );
    });
    let status = victim.process().wait(Duration::from_secs(20)).unwrap();
    assert!(status.success(), "{status}");
    announced.running.agents.push(lab.spawn_agent(2, &[]).unwrap());
    announced.routed_to("node2's agent is back", &[1, 2, 3]);
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        assert!(sent.sent > 100 && sent.failed == 0, "{sent:?}");
    }
}

#[test]
fn a_dead_node_is_withdrawn_and_a_killed_agent_is_not() {
    let Some(mut announced) = Announced::start() else {
        return;
    };
    announced.running.take(3).kill().unwrap();
    std::thread::sleep(HEARTBEAT);
    for _ in 0..20 {
        for vip in [VIP_V4, VIP_V6] {
            announced.running.lab.client().echo(vip, URL).unwrap();
        }
    }
    assert_eq!(
        routes(&announced.running.lab),
        hops(&[1, 2, 3]),
        "node3 still forwards"
    );

    let lab = &announced.running.lab;
    lab.router().plug(3, false).unwrap();
    announced.birds.pop().unwrap().kill().unwrap();
    announced.routed_to("node3 is dead", &[1, 2]);
    // Whoever leads says so when its Lease has ended.
    lab.manifests().set_nodes(&[(1, Active), (2, Active)]).unwrap();
    let gone = |agent: &Agent| !agent.maps().unwrap().contains("10.1.0.3");
    eventually("the others know", CONVERGED, || {
        announced.running.agents.iter().all(gone)
    });
    for vip in [VIP_V4, VIP_V6] {
        for _ in 0..20 {
            lab.client().echo(vip, URL).unwrap();
        }
    }

    lab.router().plug(3, true).unwrap();
    lab.manifests()
        .set_nodes(&[(1, Active), (2, Active), (3, Active)])
        .unwrap();
    let bird = lab.spawn_bird(3).unwrap();
    announced.birds.push(bird);
    let agent = lab.spawn_agent(3, &[]).unwrap();
    announced.running.agents.push(agent);
    announced.routed_to("node3 is back", &[1, 2, 3]);
    let protocols = announced.router.ask("show protocols").unwrap();
    assert_eq!(protocols.matches("Established").count(), 6, "{protocols}");
    for vip in [VIP_V4, VIP_V6] {
        let nodes: BTreeSet<_> = (0..60)
            .map(|_| announced.running.lab.client().echo(vip, URL).unwrap().node())
            .collect();
        assert_eq!(nodes.len(), 3, "{nodes:?}");
    }
}

//! What is known of every endpoint, and what it leads to: who is out of use, how long, and what then answers.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ingress_agent::proxy::{EndpointHealth, HealthState};

use crate::bed::{Bed, site};
use crate::recorder::{Answer, Recorder};

/// An address where nothing listens.
fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn health(bed: &Bed, address: SocketAddr) -> EndpointHealth {
    let mut of_it = bed.proxy.endpoints();
    of_it.retain(|endpoint| endpoint.address == address);
    assert_eq!(of_it.len(), 1, "an endpoint that two routes share is told once");
    of_it.remove(0)
}

#[test]
fn every_endpoint_tells_how_it_does() {
    let a = Recorder::start("a");
    let dead = refusing();
    let pods = [a.address(), dead];
    let bed = Bed::start(site(&[("a.test", "/", &pods), ("b.test", "/", &pods)]));
    assert_eq!(bed.proxy.endpoints().len(), 2);
    assert_eq!(health(&bed, dead).state, HealthState::Well, "nobody knows better");
    let mut client = bed.connect();
    for _ in 0..4 {
        assert_eq!(client.get("a.test", "/").status, 200);
    }
    let told = health(&bed, dead);
    assert_eq!(told.state, HealthState::Unreachable);
    assert!(!told.tls && told.server_name.is_none() && told.since_ms < 60_000);
    assert_eq!(health(&bed, a.address()).in_flight, 0);
    a.script([Answer::After(Duration::from_millis(500))]);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let in_flight = || health(&bed, a.address()).in_flight;
    while in_flight() != 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.reply().unwrap().status, 200);
    assert_eq!(health(&bed, a.address()).state, HealthState::Well);
}

use tokio::io::{DuplexStream, duplex};

use super::super::http1::Stream;
use super::super::{Endpoints, Target, Transport};
use super::*;

/// A connection and the pod's end of it.
fn connection() -> (Box<Connection>, DuplexStream) {
    let (stream, pod) = duplex(64);
    (Connection::new(Stream::Layered(Box::new(stream)), IDLE), pod)
}

fn endpoints(count: usize) -> Box<[Arc<Endpoint>]> {
    let target = |port| Target {
        address: ([192, 0, 2, 1], port).into(),
        transport: Transport::Plain,
    };
    let targets = (1..).take(count).map(target).collect();
    Endpoints::default().intern(targets, Instant::now())
}

/// How many connections can be taken.
fn take_all(registry: &Registry, endpoint: &Arc<Endpoint>) -> usize {
    std::iter::from_fn(|| registry.take(endpoint)).count()
}

#[tokio::test(flavor = "current_thread")]
async fn an_endpoint_has_so_many_and_no_more() {
    let (registry, endpoints) = (Registry::default(), endpoints(2));
    let mut pods = Vec::new();
    for _ in 0..=MAX_IDLE_PER_ENDPOINT {
        let (connection, pod) = connection();
        registry.keep(&endpoints[0], connection);
        pods.push(pod);
    }
    assert_eq!(registry.count.get(), MAX_IDLE_PER_ENDPOINT);
    let (connection, _pod) = connection();
    registry.keep(&endpoints[1], connection);
    assert_eq!(take_all(&registry, &endpoints[1]), 1, "another has its own");
    assert_eq!(take_all(&registry, &endpoints[0]), MAX_IDLE_PER_ENDPOINT);
    assert_eq!(registry.count.get(), 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_worker_has_so_many_and_no_more() {
    let registry = Registry::default();
    let endpoints = endpoints(MAX_IDLE / MAX_IDLE_PER_ENDPOINT + 1);
    let (last, full) = endpoints.split_last().unwrap();
    let mut pods = Vec::new();
    for endpoint in full.iter().flat_map(|endpoint| [endpoint; MAX_IDLE_PER_ENDPOINT]) {
        let (connection, pod) = connection();
        registry.keep(endpoint, connection);
        pods.push(pod);
    }
    assert_eq!(registry.count.get(), MAX_IDLE);
    let (one, _pod) = connection();
    registry.keep(last, one);
    assert_eq!(take_all(&registry, last), 0, "one too many");
    assert!(registry.take(&full[0]).is_some());
    let (one, _pod) = connection();
    registry.keep(last, one);
    assert_eq!(take_all(&registry, last), 1, "there was room again");
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_idle_so_long_and_no_longer() {
    let (registry, endpoints) = (Registry::default(), endpoints(1));
    let start = Instant::now();
    let keep = || {
        let (connection, pod) = connection();
        registry.keep(&endpoints[0], connection);
        pod
    };
    let _pod = keep();
    registry.sweep(start);
    registry.sweep(start + IDLE - Duration::from_millis(1));
    assert_eq!(registry.count.get(), 1);
    registry.sweep(start + IDLE);
    assert_eq!(registry.count.get(), 0);
    // One that the pod has closed goes at the next sweep, and is given to nobody before.
    for swept in [false, true] {
        drop(keep());
        if swept {
            registry.sweep(start);
            assert_eq!(registry.count.get(), 0);
        }
        assert!(registry.take(&endpoints[0]).is_none());
    }
}

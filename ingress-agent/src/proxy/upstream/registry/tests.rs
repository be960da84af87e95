use tokio::io::{DuplexStream, duplex};
use tokio::task::LocalSet;

use super::super::connect::begin;
use super::super::{Endpoints, Target, Transport};
use super::*;

/// A connection and the pod's end of it.
async fn connection() -> (Box<Connection>, DuplexStream) {
    let (stream, pod) = duplex(64);
    let address = ([127, 0, 0, 1], 1).into();
    let sender = begin(address, stream).await.unwrap();
    settle().await;
    (Connection::new(sender, Duration::from_secs(60)), pod)
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

/// Runs the connections' tasks.
async fn settle() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_endpoint_has_so_many_and_no_more() {
    let test = async {
        let (registry, endpoints) = (Registry::default(), endpoints(2));
        let mut pods = Vec::new();
        for _ in 0..=MAX_IDLE_PER_ENDPOINT {
            let (connection, pod) = connection().await;
            registry.keep(&endpoints[0], connection);
            pods.push(pod);
        }
        assert_eq!(registry.count.get(), MAX_IDLE_PER_ENDPOINT);
        let (connection, _pod) = connection().await;
        registry.keep(&endpoints[1], connection);
        assert_eq!(take_all(&registry, &endpoints[1]), 1, "another has its own");
        assert_eq!(take_all(&registry, &endpoints[0]), MAX_IDLE_PER_ENDPOINT);
        assert_eq!(registry.count.get(), 0);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_worker_has_so_many_and_no_more() {
    let test = async {
        let registry = Registry::default();
        let endpoints = endpoints(MAX_IDLE / MAX_IDLE_PER_ENDPOINT + 1);
        let (last, full) = endpoints.split_last().unwrap();
        let mut pods = Vec::new();
        for endpoint in full.iter().flat_map(|endpoint| [endpoint; MAX_IDLE_PER_ENDPOINT]) {
            let (connection, pod) = connection().await;
            registry.keep(endpoint, connection);
            pods.push(pod);
        }
        assert_eq!(registry.count.get(), MAX_IDLE);
        let (one, _pod) = connection().await;
        registry.keep(last, one);
        assert_eq!(take_all(&registry, last), 0, "one too many");
        assert!(registry.take(&full[0]).is_some());
        let (one, _pod) = connection().await;
        registry.keep(last, one);
        assert_eq!(take_all(&registry, last), 1, "there was room again");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_idle_so_long_and_no_longer() {
    let test = async {
        let (registry, endpoints) = (Registry::default(), endpoints(1));
        let start = Instant::now();
        let keep = async || {
            let (connection, pod) = connection().await;
            registry.keep(&endpoints[0], connection);
            pod
        };
        let _pod = keep().await;
        registry.sweep(start);
        registry.sweep(start + IDLE - Duration::from_millis(1));
        assert_eq!(registry.count.get(), 1);
        registry.sweep(start + IDLE);
        assert_eq!(registry.count.get(), 0);
        // One that the pod has closed goes at the next sweep, and is given to nobody before.
        for swept in [false, true] {
            drop(keep().await);
            settle().await;
            if swept {
                registry.sweep(start);
                assert_eq!(registry.count.get(), 0);
            }
            assert!(registry.take(&endpoints[0]).is_none());
        }
    };
    LocalSet::new().run_until(test).await;
}

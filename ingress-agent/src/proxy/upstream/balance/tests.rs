use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::proxy::upstream::{Budget, Endpoints, HealthState, Target, Transport};

const ALL: [Balance; 3] = [Balance::RoundRobin, Balance::LeastRequest, Balance::PeakEwma];

fn upstream(ready: u16, draining: u16) -> Upstream {
    let target = |port| Target {
        address: ([127, 0, 0, 1], port).into(),
        transport: Transport::Plain,
    };
    let mut endpoints = Endpoints::default();
    let mut intern =
        |ports: std::ops::Range<u16>| endpoints.intern(ports.map(target).collect(), Instant::now());
    Upstream {
        ready: intern(0..ready),
        draining: intern(100..100 + draining),
        cursor: 7,
        newest: Arc::default(),
        budget: Budget::default(),
    }
}

/// How often each port was picked of `rounds` requests.
fn counts(upstream: &Upstream, balance: Balance, rounds: usize, now: Instant) -> [usize; 128] {
    let balancer = Balancer::new();
    let mut counts = [0; 128];
    for _ in 0..rounds {
        let picked = balancer.pick(upstream, balance, &Tried::default(), now).unwrap();
        counts[usize::from(picked.target.address.port())] += 1;
    }
    counts
}

#[test]
fn every_ready_endpoint_gets_its_turn() {
    let upstream = upstream(3, 1);
    let counts = counts(&upstream, Balance::RoundRobin, 30, Instant::now());
    assert_eq!((&counts[..4], counts[100]), (&[10, 10, 10, 0][..], 0));
}

#[test]
fn an_ejected_endpoint_gets_nothing_and_its_neighbour_no_more_than_others() {
    let upstream = upstream(3, 0);
    let now = Instant::now();
    upstream.ready[0].eject(HealthState::Unreachable, now);
    assert_eq!(counts(&upstream, Balance::RoundRobin, 30, now)[..3], [0, 15, 15]);
    for balance in ALL {
        assert_eq!(counts(&upstream, balance, 100, now)[0], 0, "{balance:?}");
    }
}

#[test]
fn a_healed_endpoint_begins_slowly() {
    let upstream = upstream(2, 0);
    let healed = Instant::now() + Duration::from_secs(1);
    upstream.ready[0].eject(HealthState::Unreachable, healed);
    upstream.ready[0].heal(healed);
    for balance in ALL {
        let of = |seconds| {
            let now = healed + Duration::from_secs(seconds);
            counts(&upstream, balance, 10_000, now)[0]
        };
        let [first, half] = [of(0), of(5)];
        assert!((300..1500).contains(&first), "{balance:?}: {first}");
        assert!((2000..4500).contains(&half), "{balance:?}: {half}");
    }
    let now = healed + Duration::from_secs(10);
    assert_eq!(counts(&upstream, Balance::RoundRobin, 100, now)[0], 50);
}

#[test]
fn the_less_busy_of_two_is_called() {
    let upstream = upstream(2, 0);
    let _busy = upstream.ready[0].begin();
    let counts = counts(&upstream, Balance::LeastRequest, 100, Instant::now());
    assert_eq!(counts[..2], [0, 100]);
}

/// Of many endpoints the draw is random, and only the busiest is never the better of two.
#[test]
fn least_request_spreads() {
    let upstream = upstream(4, 0);
    let _busy = upstream.ready[2].begin();
    let counts = counts(&upstream, Balance::LeastRequest, 3000, Instant::now());
    assert_eq!(counts[2], 0);
    for port in [0, 1, 3] {
        assert!((700..1300).contains(&counts[port]), "{:?}", &counts[..4]);
    }
}

#[test]
fn the_quicker_of_two_is_called_times_what_waits_there() {
    let upstream = upstream(2, 0);
    let now = Instant::now() + Duration::from_secs(1);
    let [slow, quick] = [&upstream.ready[0], &upstream.ready[1]];
    slow.observe(Duration::from_millis(40), now);
    quick.observe(Duration::from_millis(10), now);
    assert_eq!(
        counts(&upstream, Balance::PeakEwma, 50, now)[..2],
        [0, 50],
        "40 ms against 10 ms"
    );
    let _waiting: Vec<_> = (0..4).map(|_| quick.begin()).collect();
    assert_eq!(
        counts(&upstream, Balance::PeakEwma, 50, now)[..2],
        [50, 0],
        "40 ms against 10 ms x 5"
    );
    // What was slow once is tried again when that is long ago.
    quick.observe(Duration::from_millis(10), now + Duration::from_secs(60));
    let later = now + Duration::from_secs(60);
    assert_eq!(counts(&upstream, Balance::PeakEwma, 50, later)[..2], [50, 0]);
}

#[test]
fn what_was_never_measured_is_called_like_the_others() {
    let upstream = upstream(2, 0);
    let now = Instant::now();
    upstream.ready[0].observe(Duration::from_millis(5), now);
    let counts = counts(&upstream, Balance::PeakEwma, 1000, now);
    assert!((300..700).contains(&counts[0]), "{:?}", &counts[..2]);
}

#[test]
fn draining_endpoints_serve_only_when_no_other_is_left() {
    let now = Instant::now();
    for balance in ALL {
        let only = upstream(0, 1);
        assert_eq!(counts(&only, balance, 10, now)[100], 10, "{balance:?}");
        let gone = upstream(1, 1);
        gone.ready[0].eject(HealthState::Unreachable, now);
        assert_eq!(counts(&gone, balance, 10, now)[100], 10, "{balance:?}");
        gone.draining[0].eject(HealthState::Silent, now);
        assert_eq!(
            counts(&gone, balance, 10, now)[100],
            10,
            "{balance:?}: silent, and reached"
        );
        gone.draining[0].eject(HealthState::Unreachable, now);
        let picked = Balancer::new()
            .pick(&gone, balance, &Tried::default(), now)
            .is_some();
        assert!(!picked, "{balance:?}: nobody can be reached");
    }
}

proptest! {
    /// Of all endpoints each is tried once before one is tried twice, silent ones after all others; and there is
    /// a next one unless none can be reached.
    #[test]
    fn a_try_goes_elsewhere_while_there_is_an_elsewhere(
        ready in 0u16..4,
        draining in 0u16..2,
        silent in any::<u8>(),
        unreachable in any::<u8>(),
        balance in proptest::sample::select(&ALL[..]),
    ) {
        let upstream = upstream(ready, draining);
        let now = Instant::now();
        let all: Vec<_> = upstream.ready.iter().chain(&upstream.draining).collect();
        for (bits, state) in [(silent, HealthState::Silent), (unreachable, HealthState::Unreachable)] {
            for (_, endpoint) in all.iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1) {
                endpoint.eject(state, now);
            }
        }
        let in_state = |fits: fn(HealthState) -> bool| all.iter().filter(|endpoint| fits(endpoint.state())).count();
        let well = in_state(|state| !state.is_ejected());
        let distinct = if well == 0 { in_state(|state| state == HealthState::Silent) } else { well };
        let balancer = Balancer::new();
        let mut tried = Tried::default();
        let mut seen: Vec<*const Endpoint> = Vec::new();
        for round in 0..all.len().min(REMEMBERED) {
            let picked = balancer.pick(&upstream, balance, &tried, now);
            prop_assert_eq!(picked.is_none(), distinct == 0);
            let Some(picked) = picked else { break };
            tried.add(picked);
            // What is well is tried before what is silent.
            prop_assert_eq!(picked.state().is_ejected(), well == 0, "round {}", round);
            prop_assert_eq!(seen.contains(&Arc::as_ptr(picked)), round >= distinct);
            seen.push(Arc::as_ptr(picked));
        }
    }
}

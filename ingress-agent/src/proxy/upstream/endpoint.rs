//! A pod as all workers see it: where it is, whether it is well, how busy and how quick.
//!
//! Known by address and transport outside the table, so that a swap forgets nothing. The backends of the
//! tables in use keep it alive; the connections in the workers' pools do not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustls_pki_types::{DnsName, ServerName};
use serde::Serialize;

use super::answers::{Answers, Seen};
use super::ewma::Ewma;
use super::health::{Health, HealthState};
use super::probe::Probes;
use crate::model::policy::{UpstreamPolicy, UpstreamProtocol};

/// Where every endpoint's clock begins.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What tells two connections apart: one may not serve the other's requests.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::proxy) struct Target {
    pub(in crate::proxy) address: SocketAddr,
    pub(in crate::proxy) transport: Transport,
}

/// How an endpoint is spoken to.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::proxy) enum Transport {
    /// In clear.
    Plain,
    /// Over TLS, with this server name; `None`: without one, as ingress-nginx does.
    Tls(Option<Arc<str>>),
}

/// A pod.
#[derive(Debug)]
pub(in crate::proxy) struct Endpoint {
    pub(in crate::proxy) target: Target,
    in_flight: AtomicU32,
    answers: Answers,
    latency: Ewma,
    health: Health,
    /// Locked only while it is out of use.
    probes: Mutex<Probes>,
}

/// How a pod does, as all workers see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointHealth {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// The server name that is sent, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether it is given requests.
    pub state: HealthState,
    /// How long it has been in this state, in milliseconds.
    pub since_ms: u64,
    /// Requests under way at it.
    pub in_flight: u32,
    /// The time to answer that is to be expected, in microseconds; known where `load-balance` is `ewma`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<f32>,
}

/// All endpoints that any table or request still knows.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Endpoints(HashMap<Target, Weak<Endpoint>>);

/// A request under way at an endpoint, until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct InFlight(Arc<Endpoint>);

impl Transport {
    /// As a route asks for it. A Host that the route sets is also the server name, for pods that choose a
    /// certificate by it.
    pub(in crate::proxy) fn of(policy: &UpstreamPolicy) -> Self {
        match policy.protocol {
            UpstreamProtocol::Http => Self::Plain,
            UpstreamProtocol::Https => {
                let name = policy
                    .host
                    .as_ref()
                    .filter(|host| DnsName::try_from(&***host).is_ok());
                Self::Tls(name.map(Arc::clone))
            }
        }
    }
}

impl Target {
    /// The server name of a TLS connection. An address is a name that is not sent (RFC 6066 section 3).
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.transport {
            Transport::Plain => None,
            Transport::Tls(name) => {
                let name = name.as_ref().and_then(|name| DnsName::try_from(&**name).ok());
                let name = name.map(|name| ServerName::DnsName(name.to_owned()));
                Some(name.unwrap_or_else(|| ServerName::IpAddress(self.address.ip().into())))
            }
        }
    }
}

impl Endpoint {
    fn new(target: Target, state: HealthState, now: Instant) -> Self {
        Self {
            target,
            in_flight: AtomicU32::new(0),
            answers: Answers::default(),
            latency: Ewma::default(),
            health: Health::new(state, millis(now)),
            probes: Mutex::default(),
        }
    }

    /// Counts a request in.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Requests under way, over all workers.
    pub(in crate::proxy) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Adds the time to an answer, or to the end of patience.
    pub(super) fn observe(&self, took: Duration, now: Instant) {
        self.latency.observe(took.as_secs_f32() * 1e6, short_millis(now));
    }

    /// The time to answer that is to be expected, in microseconds, if anything is known.
    pub(super) fn latency(&self, now: Instant) -> Option<f32> {
        self.latency.read(short_millis(now))
    }

    pub(super) fn state(&self) -> HealthState {
        self.health.state()
    }

    /// For whoever asks from outside.
    pub(in crate::proxy) fn tell(&self, now: Instant) -> EndpointHealth {
        let (state, since) = self.health.read();
        let (tls, server_name) = match &self.target.transport {
            Transport::Plain => (false, None),
            Transport::Tls(name) => (true, name.as_deref().map(str::to_owned)),
        };
        EndpointHealth {
            address: self.target.address,
            tls,
            server_name,
            state,
            since_ms: millis(now).saturating_sub(since),
            in_flight: self.in_flight(),
            latency_us: self.latency(now),
        }
    }

    /// The part of its share the endpoint gets, of 256.
    pub(super) fn share(&self, now: Instant) -> u64 {
        self.health.share(|| millis(now))
    }

    /// Takes the endpoint out of use, by an ejected state; true for the one caller that is to probe it.
    pub(super) fn eject(&self, state: HealthState, now: Instant) -> bool {
        self.health.eject(state, millis(now))
    }

    /// Takes the endpoint into use again.
    pub(super) fn heal(&self, now: Instant) {
        self.probes().healed(self.answers.seen());
        self.health.heal(millis(now));
    }

    /// What it has answered.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Whether it has answered anybody since.
    pub(super) fn has_answered(&self, since: Seen) -> bool {
        self.answers.seen() != since
    }

    /// When the first probe is due of an endpoint that is ejected now.
    pub(super) fn first_probe(&self, now: Instant) -> Instant {
        self.probes().first(self.answers.seen(), now)
    }

    pub(super) fn probed(&self, now: Instant) {
        self.probes().probed(now);
    }

    fn probes(&self) -> MutexGuard<'_, Probes> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoints {
    /// The endpoints of a backend, the known ones with all that is known of them. Those that join others begin
    /// slowly; those of a new backend have nobody to leave the load to.
    pub(in crate::proxy) fn intern(&mut self, targets: Vec<Target>, now: Instant) -> Box<[Arc<Endpoint>]> {
        let known: Vec<_> = targets
            .iter()
            .map(|target| self.0.get(target).and_then(Weak::upgrade))
            .collect();
        let state = if known.iter().any(Option::is_some) {
            HealthState::Warming
        } else {
            HealthState::Well
        };
        let intern = |(target, known): (Target, Option<Arc<Endpoint>>)| {
            known.unwrap_or_else(|| {
                let made = Arc::new(Endpoint::new(target.clone(), state, now));
                self.0.insert(target, Arc::downgrade(&made));
                made
            })
        };
        targets.into_iter().zip(known).map(intern).collect()
    }

    /// Forgets what nobody knows any more.
    pub(in crate::proxy) fn forget_gone(&mut self) {
        self.0.retain(|_, endpoint| endpoint.strong_count() > 0);
    }
}

fn millis(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*START).as_millis()).unwrap_or(u64::MAX)
}

/// Wraps every 49 days.
fn short_millis(at: Instant) -> u32 {
    u32::try_from(millis(at) & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16) -> Target {
        Target {
            address: ([192, 0, 2, 1], port).into(),
            transport: Transport::Plain,
        }
    }

    #[test]
    fn what_is_known_of_an_endpoint_survives_a_swap() {
        let now = Instant::now();
        let mut endpoints = Endpoints::default();
        let before = endpoints.intern(vec![target(1), target(2)], now);
        assert!(before.iter().all(|endpoint| endpoint.share(now) == 256));
        before[0].eject(HealthState::Unreachable, now);
        let flight = before[1].begin();
        let after = endpoints.intern(vec![target(1), target(2), target(3)], now);
        drop(before);
        assert_eq!(after[0].state(), HealthState::Unreachable);
        assert_eq!(after[1].in_flight(), 1);
        assert!(after[2].share(now) < 64, "it joins others");
        drop((after, flight));
        endpoints.forget_gone();
        assert!(endpoints.0.is_empty());
    }

    #[test]
    fn the_server_name_is_the_host_that_the_route_sets() {
        let policy = |protocol, host: Option<&str>| UpstreamPolicy {
            protocol,
            host: host.map(Arc::from),
            ..UpstreamPolicy::default()
        };
        let https = UpstreamProtocol::Https;
        assert_eq!(
            Transport::of(&policy(UpstreamProtocol::Http, Some("a.test"))),
            Transport::Plain
        );
        for (host, expected) in [
            (None, None),
            (Some("a.test"), Some("a.test")),
            (Some("a b"), None),
            (Some("a.test:8443"), None),
        ] {
            let transport = Transport::of(&policy(https, host));
            assert_eq!(transport, Transport::Tls(expected.map(Arc::from)));
            let target = Target {
                transport,
                ..target(1)
            };
            let name = target.server_name().unwrap();
            assert_eq!(name.to_str(), expected.unwrap_or("192.0.2.1"));
        }
    }
}

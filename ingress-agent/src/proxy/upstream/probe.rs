//! Endpoints out of use and back.
//!
//! Whoever finds an endpoint out of order first takes it out of use for all workers and probes it, at once and
//! then once a second, until it is well or nobody knows it any more. One that could not be reached is well when
//! it connects. One that was silent takes connections all along, so it is asked `OPTIONS *`, which RFC 9110
//! section 9.3.7 has for this: whatever it answers, it answers.
//!
//! An endpoint that answers probes and then no request either is left alone for longer each time. One that ends the
//! connection instead of an answer may do so only with `OPTIONS *`: it is in use again after a while, on trial.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::Method;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::answers::Seen;
use super::connect::{ConnectError, connect};
use super::endpoint::Endpoint;
use super::health::HealthState;
use super::http1::{AskError, Connection, Outgoing, RequestHead, Sending};
use crate::proxy::forward::RequestBody;
use crate::proxy::worker::Worker;

/// From one probe to the next; a probe that takes as long has failed.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that an endpoint is left alone that keeps failing after its probes, and the time to a trial.
const LONGEST: Duration = Duration::from_secs(10);

/// An endpoint's probes so far.
#[derive(Debug, Default)]
pub(super) struct Probes {
    last: Option<Instant>,
    /// What it had answered when a probe brought it back.
    healed: Option<Seen>,
    /// How often it was back and failed before it answered a request.
    relapses: u32,
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("it ended the connection instead of an answer: {0}")]
    Ended(#[from] AskError),
    #[error("it said nothing within {EVERY:?}")]
    Silent,
}

impl Probes {
    /// When to probe an endpoint that is ejected at `now` and has answered what was `seen`.
    pub(super) fn first(&mut self, seen: Seen, now: Instant) -> Instant {
        let relapsed = self.healed.take() == Some(seen);
        self.relapses = if relapsed { self.relapses + 1 } else { 0 };
        let pause = EVERY.saturating_mul(1 << self.relapses.min(4)).min(LONGEST);
        self.last.map_or(now, |last| now.max(last + pause))
    }

    pub(super) fn probed(&mut self, now: Instant) {
        self.last = Some(now);
    }

    pub(super) fn healed(&mut self, seen: Seen) {
        self.healed = Some(seen);
    }
}

impl ProbeError {
    /// Whether an endpoint that has been out of use for this long is given requests all the same.
    fn permits_trial(&self, out: Duration) -> bool {
        match self {
            Self::Ended(_) => out >= LONGEST,
            Self::Connect(_) | Self::Silent => false,
        }
    }
}

/// Takes an endpoint out of use, by an ejected state.
pub(super) fn eject(worker: &Rc<Worker>, endpoint: &Arc<Endpoint>, state: HealthState, why: &dyn Display) {
    let now = Instant::now();
    if !endpoint.eject(state, now) {
        return;
    }
    tracing::info!(endpoint = %endpoint.target.address, reason = %why, "an endpoint is out of use");
    let first = endpoint.first_probe(now);
    spawn_local(probe(Rc::clone(worker), Arc::downgrade(endpoint), first));
}

async fn probe(worker: Rc<Worker>, endpoint: Weak<Endpoint>, first: Instant) {
    let ejected = Instant::now();
    let mut every = interval_at(first.into(), EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(endpoint) = endpoint.upgrade() else {
            return;
        };
        endpoint.probed(Instant::now());
        let connection = match try_out(&worker, &endpoint).await {
            Ok(connection) => connection,
            Err(error) if error.permits_trial(ejected.elapsed()) => None,
            Err(error) => {
                tracing::debug!(%error, "an endpoint stays out of use");
                if let ProbeError::Connect(error) = &error
                    && !error.is_own()
                {
                    endpoint.eject(HealthState::Unreachable, Instant::now());
                }
                continue;
            }
        };
        tracing::info!(endpoint = %endpoint.target.address, "an endpoint is in use again");
        endpoint.heal(Instant::now());
        if let Some(connection) = connection {
            worker.registry.keep(&endpoint, connection);
        }
        return;
    }
}

/// Whether the endpoint is well; with a connection to it, if that is fit for a request.
async fn try_out(worker: &Worker, endpoint: &Endpoint) -> Result<Option<Box<Connection>>, ProbeError> {
    let asks = endpoint.state() == HealthState::Silent;
    let mut connection = connect(&worker.tls, &endpoint.target, EVERY, EVERY).await?;
    if !asks {
        return Ok(Some(connection));
    }
    let mut head = RequestHead::new(&Method::OPTIONS, "*");
    let host = format!("host: {}\r\n", endpoint.target.address);
    head.fields(host.as_bytes());
    head.fields(b"user-agent: ingress-agent\r\nconnection: close\r\n");
    head.end();
    let answer = timeout(EVERY, connection.ask(sending(&head))).await;
    answer.map_err(|_| ProbeError::Silent)??;
    Ok(None)
}

fn sending(head: &RequestHead) -> Sending<'_> {
    Sending::new(head, Outgoing::new(RequestBody::empty()))
}

#[cfg(test)]
mod tests {
    use super::super::answers::Answers;
    use super::super::http1::Stream;
    use super::*;

    #[test]
    fn at_once_and_then_once_a_second_whoever_ejects() {
        let (answers, mut probes) = (Answers::default(), Probes::default());
        let now = Instant::now();
        assert_eq!(probes.first(answers.seen(), now), now);
        probes.probed(now);
        probes.healed(answers.seen());
        answers.add();
        let soon = now + Duration::from_millis(100);
        assert_eq!(probes.first(answers.seen(), soon), now + EVERY);
        let later = now + Duration::from_secs(5);
        assert_eq!(probes.first(answers.seen(), later), later);
    }

    #[test]
    fn who_only_answers_probes_is_probed_less_and_less() {
        let (answers, mut probes) = (Answers::default(), Probes::default());
        let now = Instant::now();
        let mut relapse = || {
            let first = probes.first(answers.seen(), now);
            probes.probed(now);
            probes.healed(answers.seen());
            first.duration_since(now).as_secs()
        };
        let pauses: Vec<_> = (0..7).map(|_| relapse()).collect();
        assert_eq!(pauses, [0, 2, 4, 8, 10, 10, 10]);
        answers.add();
        assert_eq!(relapse(), 1, "it has answered a request since");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_who_ends_the_probe_himself_is_tried_without_an_answer() {
        let (stream, pod) = tokio::io::duplex(64);
        let mut connection = Connection::new(Stream::Layered(Box::new(stream)), EVERY);
        drop(pod);
        let mut head = RequestHead::new(&Method::OPTIONS, "*");
        head.end();
        let ended = ProbeError::from(connection.ask(sending(&head)).await.unwrap_err());
        assert!(!ended.permits_trial(LONGEST - Duration::from_millis(1)));
        assert!(ended.permits_trial(LONGEST));
        assert!(!ProbeError::Silent.permits_trial(LONGEST));
    }
}

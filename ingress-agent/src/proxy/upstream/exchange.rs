//! A request's tries: endpoint after endpoint until one answers, as far as the route allows.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Response;

use super::answers::Seen;
use super::balance::{Balancer, Tried};
use super::connect::{ConnectError, UNANSWERED, connect};
use super::endpoint::Endpoint;
use super::health::HealthState;
use super::http1::{AskError, Connection, Outgoing, RequestHead, Sending};
use super::probe;
use super::retry::{Failure, Tries, may_replay};
use crate::model::policy::{Balance, Timeouts, UpstreamPolicy};
use crate::proxy::access::Record;
use crate::proxy::client::Client;
use crate::proxy::error::ProxyError;
use crate::proxy::forward::{RequestBody, Upload};
use crate::proxy::router::Upstream;

/// The head of an answer, and where the rest comes from.
pub(in crate::proxy) type Exchanged = (Response<()>, Box<Connection>);

/// The body of a request of which nothing was sent.
type Unsent = Option<Outgoing>;

/// Sends the request to one endpoint after the other until one answers, as far as that is allowed.
pub(in crate::proxy) async fn exchange(
    client: &Client,
    policy: &UpstreamPolicy,
    targets: &Upstream,
    head: &RequestHead,
    body: RequestBody,
    upload: Option<&Rc<Upload>>,
    record: &mut Record,
) -> Result<Exchanged, ProxyError> {
    let replayable = may_replay(head.method(), &policy.retry);
    if let Some(upload) = upload.filter(|_| replayable) {
        upload.keep();
    }
    let mut outgoing = Outgoing::new(body);
    // Nothing was waited for since, and a look at the clock costs as much as finding the endpoint.
    let mut began = record.started();
    let mut tries = Tries::new(&policy.retry, replayable, targets.count(), began);
    let mut tried = Tried::default();
    // Held while the try that it allows is under way.
    let mut ticket = None;
    let mut dial = false;
    let balancer = &client.worker.balancer;
    let first = balancer.pick(targets, policy.balance, &tried, began);
    let mut endpoint = first.ok_or_else(|| targets.nobody())?;
    let mut newer;
    loop {
        tried.add(endpoint);
        record.tries.begin(endpoint.target.address, began);
        let patience = || {
            let newest = targets.newest.get();
            let now = newest.as_deref().unwrap_or(targets);
            let is_followed = tries.allow(Failure::ConnectTimeout, Instant::now() + UNANSWERED)
                && Balancer::has_another(now, &tried);
            if is_followed { UNANSWERED } else { Duration::MAX }
        };
        let attempt = Attempt {
            client,
            endpoint,
            head,
            timeouts: &policy.timeouts,
            patience: &patience,
            upload: upload.map(|upload| &**upload),
            began,
            seen: endpoint.answers().seen(),
        };
        let result = attempt.run(outgoing, &mut dial).await;
        if policy.balance == Balance::PeakEwma && matches!(result, Ok(_) | Err((Failure::Timeout, _))) {
            let now = Instant::now();
            endpoint.observe(now.saturating_duration_since(began), now);
        }
        let (failure, unsent, status, answer) = match result {
            Ok((response, connection)) => {
                let status = response.status();
                let answer = (response, connection);
                if !policy.retry.statuses.contains(&status.as_u16()) {
                    return Ok(answer);
                }
                (Failure::Status, None, status, Ok(answer))
            }
            Err((failure, unsent)) => {
                let error = ProxyError::from(failure);
                (failure, unsent, error.status(), Err(error))
            }
        };
        record.tries.blame(failure.cause());
        began = Instant::now();
        if !tries.another(failure, began) {
            return answer;
        }
        let again = || match upload {
            _ if !replayable => None,
            None => Some(Outgoing::new(RequestBody::empty())),
            Some(upload) => upload.again().map(Outgoing::new),
        };
        let Some(next) = unsent.or_else(again) else {
            return answer;
        };
        outgoing = next;
        // The failed try may have waited for long, and the pods are others since.
        let newest = targets.newest.get();
        let now = newest.as_deref().unwrap_or(targets);
        let Some(next) = balancer.pick(now, policy.balance, &tried, began) else {
            return answer;
        };
        newer = Arc::clone(next);
        endpoint = &newer;
        record.tries.fail(Some(status), began);
        if !failure.is_free() {
            // The one that the failed try had goes first.
            drop(ticket.take());
            ticket = targets.budget.ticket(|| targets.in_flight()).await;
            if ticket.is_none() {
                return answer;
            }
            began = Instant::now();
        }
    }
}

/// One try at one endpoint.
struct Attempt<'a> {
    client: &'a Client,
    endpoint: &'a Arc<Endpoint>,
    head: &'a RequestHead,
    timeouts: &'a Timeouts,
    /// How long the endpoint may leave us without an answer to a SYN.
    patience: &'a dyn Fn() -> Duration,
    upload: Option<&'a Upload>,
    began: Instant,
    /// What the endpoint had answered then.
    seen: Seen,
}

impl Attempt<'_> {
    /// Over a kept connection, unless `dial`, or a new one. A kept one that the pod has given up before anything
    /// was sent is no try. Sets `dial` where what was given up once may have been given up as a whole.
    async fn run(&self, mut outgoing: Outgoing, dial: &mut bool) -> Result<Exchanged, (Failure, Unsent)> {
        let worker = &self.client.worker;
        let in_flight = self.endpoint.begin();
        let kept = if *dial {
            None
        } else {
            worker.registry.take(self.endpoint)
        };
        *dial = kept.is_some();
        if let Some(connection) = kept {
            match self.send(connection, outgoing).await {
                Err((Failure::Unsent, Some(unsent))) => outgoing = unsent,
                Ok((response, mut connection)) => {
                    connection.in_flight = Some(in_flight);
                    return Ok((response, connection));
                }
                Err(failed) => {
                    // That it ended may have had nothing to do with the request.
                    if failed.0 != Failure::Lost {
                        self.blame(failed.0);
                    }
                    return Err(failed);
                }
            }
        }
        let (limit, patience) = (self.timeouts.connect, (self.patience)());
        match connect(&worker.tls, &self.endpoint.target, limit, patience).await {
            Ok(connection) => match self.send(connection, outgoing).await {
                Ok((response, mut connection)) => {
                    connection.in_flight = Some(in_flight);
                    Ok((response, connection))
                }
                Err(failed) => {
                    self.blame(failed.0);
                    Err(failed)
                }
            },
            Err(error) => {
                tracing::debug!(%error, "a pod was not reached");
                let timed_out = matches!(error, ConnectError::Timeout { .. });
                // Too busy for one more connection is not out of order.
                let is_there = timed_out && self.endpoint.has_answered(self.seen);
                if !is_there && !error.is_own() {
                    probe::eject(worker, self.endpoint, HealthState::Unreachable, &error);
                }
                let failure = if timed_out {
                    Failure::ConnectTimeout
                } else {
                    Failure::Connect(error.cause())
                };
                Err((failure, Some(outgoing)))
            }
        }
    }

    /// Takes the endpoint out of use if the failure of a request that reached it says that it answers nobody.
    fn blame(&self, failure: Failure) {
        let why = match failure {
            Failure::Timeout if !self.endpoint.has_answered(self.seen) => "it answers nobody in time",
            Failure::Lost | Failure::Unsent if self.endpoint.answers().lose() => {
                "its connections end without an answer"
            }
            Failure::Timeout
            | Failure::Lost
            | Failure::Unsent
            | Failure::Connect(_)
            | Failure::ConnectTimeout
            | Failure::Broken
            | Failure::Status
            | Failure::Body(_) => return,
        };
        probe::eject(&self.client.worker, self.endpoint, HealthState::Silent, &why);
    }

    /// Waits for the head of the answer. A request of which nothing was sent comes back with the failure.
    async fn send(
        &self,
        mut connection: Box<Connection>,
        outgoing: Outgoing,
    ) -> Result<Exchanged, (Failure, Unsent)> {
        connection.silence = self.timeouts.read;
        let began = if connection.reused {
            self.began
        } else {
            Instant::now()
        };
        let Timeouts { read, send, .. } = *self.timeouts;
        let mut sending = Sending::new(self.head, outgoing);
        // When the pod's time is up, by what has happened until now; `None`: it is the client that is waited for.
        let due = || match self.upload {
            Some(upload) if upload.is_starved() => None,
            Some(upload) if upload.is_done() => Some(upload.last().unwrap_or(began) + read),
            Some(upload) => Some(upload.last().unwrap_or(began) + send),
            None => Some(began + read),
        };
        // What the body does wakes nobody here, so that the look at it must not come after its deadline.
        let look_again = read.min(send);
        connection
            .deadline
            .set(began + self.upload.map_or(read, |_| look_again));
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = connection.poll_ask(cx, &mut sending) {
                return Poll::Ready(Some(answer));
            }
            let deadline = &mut connection.deadline;
            while deadline.poll(cx).is_ready() {
                let now = Instant::now();
                match due() {
                    Some(due) if due <= now => return Poll::Ready(None),
                    Some(due) => deadline.set(due.min(now + look_again)),
                    None => deadline.set(now + look_again),
                }
            }
            Poll::Pending
        });
        let Some(answer) = answer.await else {
            return Err((Failure::Timeout, None));
        };
        let error = match answer {
            Ok(response) => {
                self.endpoint.answers().add();
                return Ok((response, connection.answered(sending, send)));
            }
            Err(error) => error,
        };
        tracing::debug!(endpoint = %self.endpoint.target.address, %error, "a pod did not answer");
        Err(match error {
            AskError::Unsent(_) => (Failure::Unsent, Some(sending.give_back())),
            AskError::Lost(_) => (Failure::Lost, None),
            AskError::Malformed(_) => (Failure::Broken, None),
            AskError::Body(_) => {
                let fault = self.upload.and_then(Upload::fault);
                let fault = fault.or_else(|| self.client.watch.broken_body());
                (Failure::Body(fault), None)
            }
        })
    }
}

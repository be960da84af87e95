//! A request's tries: endpoint after endpoint until one answers, as far as the route allows.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::{Body, Incoming};

use super::balance::Tried;
use super::connect::{ConnectError, Connection, connect};
use super::endpoint::Endpoint;
use super::probe;
use super::retry::{Failure, Tries, may_replay};
use crate::model::policy::{Balance, Timeouts, UpstreamPolicy};
use crate::proxy::access::Record;
use crate::proxy::client::Client;
use crate::proxy::error::ProxyError;
use crate::proxy::forward::{Progress, RequestBody};
use crate::proxy::router::Upstream;

/// The head of an answer, and where the rest comes from.
pub(in crate::proxy) type Exchanged = (Response<Incoming>, Box<Connection>);

type Unsent = Option<Request<RequestBody>>;

/// Sends the request to one endpoint after the other until one answers, as far as that is allowed.
pub(in crate::proxy) async fn exchange(
    client: &Client,
    policy: &UpstreamPolicy,
    targets: &Upstream,
    parts: Parts,
    body: RequestBody,
    progress: Option<&Progress>,
    record: &mut Record,
) -> Result<Exchanged, ProxyError> {
    let replayable = may_replay(&parts.method, &policy.retry) && body.is_end_stream();
    let replay = replayable.then(|| parts.clone());
    let mut request = Request::from_parts(parts, body);
    let mut began = Instant::now();
    let mut tries = Tries::new(&policy.retry, replayable, targets.count(), began);
    let mut tried = Tried::default();
    // Held while the try that it allows is under way.
    let mut ticket = None;
    let mut dial = false;
    loop {
        let picked = client
            .worker
            .balancer
            .pick(targets, policy.balance, &tried, began);
        let endpoint = picked.ok_or(ProxyError::NoEndpoint)?;
        tried.add(endpoint);
        if record.endpoint.replace(endpoint.target.address).is_some() {
            record.retries += 1;
        }
        let attempt = Attempt {
            client,
            endpoint,
            timeouts: &policy.timeouts,
            progress,
            began,
        };
        let result = attempt.run(request, &mut dial).await;
        if policy.balance == Balance::PeakEwma && matches!(result, Ok(_) | Err((Failure::Timeout, _))) {
            let now = Instant::now();
            endpoint.observe(now.saturating_duration_since(began), now);
        }
        let (failure, unsent, answer) = match result {
            Ok((response, connection)) => {
                let again = policy.retry.statuses.contains(&response.status().as_u16());
                let answer = (response, connection);
                if !again {
                    return Ok(answer);
                }
                (Failure::Status, None, Ok(answer))
            }
            Err((failure, unsent)) => (failure, unsent, Err(failure.into())),
        };
        began = Instant::now();
        if !tries.another(failure, began) {
            return answer;
        }
        request = match (unsent, &replay) {
            (Some(request), _) => request,
            (None, Some(parts)) => Request::from_parts(parts.clone(), RequestBody::empty()),
            (None, None) => return answer,
        };
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
    timeouts: &'a Timeouts,
    progress: Option<&'a Progress>,
    began: Instant,
}

impl Attempt<'_> {
    /// Over a kept connection, unless `dial`, or a new one. A kept one that the pod has given up before anything
    /// was sent is no try. Sets `dial` where what was given up once may have been given up as a whole.
    async fn run(
        &self,
        mut request: Request<RequestBody>,
        dial: &mut bool,
    ) -> Result<(Response<Incoming>, Box<Connection>), (Failure, Unsent)> {
        let worker = &self.client.worker;
        let in_flight = self.endpoint.begin();
        let kept = if *dial {
            None
        } else {
            worker.registry.take(self.endpoint)
        };
        *dial = kept.is_some();
        if let Some(connection) = kept {
            match self.send(connection, request).await {
                Err((Failure::Unsent, Some(unsent))) => request = unsent,
                Ok((response, mut connection)) => {
                    connection.in_flight = Some(in_flight);
                    return Ok((response, connection));
                }
                Err(failed) => return Err(failed),
            }
        }
        let connecting = connect(&worker.tls, &self.endpoint.target, self.timeouts.connect);
        match connecting.await {
            Ok(connection) => {
                let (response, mut connection) = self.send(connection, request).await?;
                connection.in_flight = Some(in_flight);
                Ok((response, connection))
            }
            Err(error) => {
                probe::eject(worker, self.endpoint, &error);
                tracing::debug!(%error, "a pod was not reached");
                let failure = match error {
                    ConnectError::Timeout { .. } => Failure::ConnectTimeout,
                    ConnectError::Connect { .. }
                    | ConnectError::Tls { .. }
                    | ConnectError::Handshake { .. } => Failure::Connect,
                };
                Err((failure, Some(request)))
            }
        }
    }

    /// Waits for the head of the answer. A request of which nothing was sent comes back with the failure.
    async fn send(
        &self,
        mut connection: Box<Connection>,
        request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Box<Connection>), (Failure, Unsent)> {
        connection.silence = self.timeouts.read;
        let began = if connection.reused {
            self.began
        } else {
            Instant::now()
        };
        let Timeouts { read, send, .. } = *self.timeouts;
        let mut sent = pin!(connection.sender.try_send_request(request));
        let deadline = &mut connection.deadline;
        // When the pod's time is up, by what has happened until now.
        let due = || match self.progress {
            Some(progress) if !progress.is_done() => progress.last().unwrap_or(began) + send,
            Some(progress) => progress.last().unwrap_or(began) + read,
            None => began + read,
        };
        // The end of the body wakes nobody here, so that the look at it must not come after its deadline.
        deadline.set(self.progress.map_or_else(due, |_| began + read.min(send)));
        let answer = poll_fn(|cx| {
            if let Poll::Ready(answer) = sent.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            while deadline.poll(cx).is_ready() {
                let now = Instant::now();
                let due = due();
                if due <= now {
                    return Poll::Ready(None);
                }
                deadline.set(due.min(now + read.min(send)));
            }
            Poll::Pending
        });
        match answer.await {
            Some(Ok(response)) => Ok((response, connection)),
            None => Err((Failure::Timeout, None)),
            Some(Err(mut failed)) => {
                let unsent = failed.take_message();
                let error = failed.into_error();
                let failure = if unsent.is_some() {
                    Failure::Unsent
                } else if error.is_user() {
                    let fault = self.progress.and_then(Progress::fault);
                    Failure::Body(fault.or_else(|| self.client.watch.broken_body()))
                } else if error.is_parse() {
                    Failure::Broken
                } else {
                    Failure::Lost
                };
                Err((failure, unsent))
            }
        }
    }
}

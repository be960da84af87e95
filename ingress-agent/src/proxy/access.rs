//! The access event: one per request, when it has ended, by whatever knows the end.

mod captures;
mod tries;
mod user;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};

use self::captures::Captured;
pub use self::captures::{Captures, Side};
pub(super) use self::tries::Tries;
use super::client::Client;
use super::count::{Cause, MethodLabel, Outcome, add};
use super::error::ProxyError;
use super::router::Rule;
use crate::model::{Action, BackendPort};

/// nginx's status for a client that left before its answer began.
const CLIENT_GONE: u16 = 499;

/// A request under way. Dropping it is its end: it tells the event, the worker's gauge and the connection's
/// idle deadline, and counts it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) client: Rc<Client>,
    started: Instant,
    /// `None`: a refused request, of which no field is believed, or nobody listens.
    asked: Option<Box<Asked>>,
    method: MethodLabel,
    /// Its id, once it has gone to a pod.
    id: Option<HeaderValue>,
    captured: Captured,
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) tries: Tries,
    pub(super) status: Option<StatusCode>,
    /// Bytes of the answer's body.
    pub(super) bytes: u64,
    /// Why the agent answered itself, if it did.
    pub(super) error: Option<ProxyError>,
    pub(super) end: End,
}

#[derive(Debug)]
struct Asked {
    method: Method,
    target: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    user: Option<String>,
    /// Bytes of the head as HTTP/1.1 writes it, and the length that it states.
    length: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The client left, or was cut at the end of a drain.
    ClientGone,
    /// The pod's answer broke off.
    UpstreamBroken,
    /// The answer was handed to the connection whole.
    Complete,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::ClientGone => "client-gone",
            Self::UpstreamBroken => "upstream-broken",
            Self::Complete => "complete",
        }
    }
}

impl Record {
    pub(super) fn new(client: Rc<Client>) -> Self {
        client.worker.requests.begin();
        add(&client.worker.counter.counts().begun, 1);
        Self {
            client,
            started: Instant::now(),
            asked: None,
            method: MethodLabel::OTHER,
            id: None,
            captured: Captured::default(),
            rule: None,
            tries: Tries::default(),
            status: None,
            bytes: 0,
            error: None,
            end: End::ClientGone,
        }
    }

    /// When its head had come.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// What was asked for, in the client's words.
    pub(super) fn asked(&mut self, parts: &Parts) {
        self.method = MethodLabel::of(&parts.method);
        if !is_wanted() {
            return;
        }
        let user = self.client.worker.options.captures.get().user();
        self.asked = Some(Box::new(Asked {
            method: parts.method.clone(),
            target: parts.uri.clone(),
            version: parts.version,
            host: parts.headers.get(header::HOST).cloned(),
            referer: parts.headers.get(header::REFERER).cloned(),
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
            user: user.then(|| user::user(&parts.headers)).flatten(),
            length: length(parts),
        }));
        self.heads(Side::Request, &parts.headers);
    }

    /// A head of the exchange, of which the format may tell some fields.
    pub(super) fn heads(&mut self, side: Side, headers: &HeaderMap) {
        self.captured
            .take(&self.client.worker.options.captures.get(), side, headers);
    }

    /// It goes to a pod now, under this id.
    pub(super) fn forwards(&mut self, id: HeaderValue) {
        if is_wanted() {
            self.id = Some(id);
        }
    }

    fn count(&self, micros: u64) {
        let counter = &self.client.worker.counter;
        let status = self.status();
        add(&counter.counts().ended, 1);
        if self.error.is_some() {
            counter.counts().answer(status);
        }
        let (retried, failed) = self.tries.causes();
        let outcome = Outcome {
            method: self.method,
            status,
            micros,
            bytes: self.bytes,
            retried,
            failed: failed.or_else(|| self.broken(status)),
        };
        counter.count(self.rule.as_ref().map(|rule| &*rule.route), &outcome);
    }

    /// What was wrong with the answer to the last try, if there was one.
    fn broken(&self, status: u16) -> Option<Cause> {
        let is_refused = self.tries.count() > 0 && self.error.is_some() && matches!(status, 502 | 504);
        match self.end {
            End::UpstreamBroken => Some(Cause::Truncated),
            End::ClientGone | End::Complete => is_refused.then_some(Cause::Malformed),
        }
    }

    /// Tries after the first.
    fn retries(&self) -> u32 {
        u32::try_from(self.tries.count().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn status(&self) -> u16 {
        self.status.map_or(CLIENT_GONE, |status| status.as_u16())
    }

    fn log(&self, now: Instant, micros: u64) {
        let client = self.client.peer.ip();
        let asked = self.asked.as_ref();
        let host = asked.and_then(|asked| asked.host.as_ref());
        let route = self.rule.as_ref().map(|rule| &rule.route);
        let backend = route.and_then(|route| match &route.action {
            Action::Forward(backend) => Some(&backend.id),
            Action::Refuse => None,
        });
        let port = backend.map(|backend| match &backend.port {
            BackendPort::Number(number) => number.to_string(),
            BackendPort::Name(name) => name.to_string(),
        });
        // What the client did to its own request is no word of the endpoint's.
        let is_endpoints = |status: &u16| self.error.is_none() || matches!(status, 502 | 504);
        let status = self.status.map(|status| status.as_u16()).filter(is_endpoints);
        let bytes = if self.error.is_none() { self.bytes } else { 0 };
        let tries = self.tries.tell(status, bytes, now);
        let tries = tries.as_ref();
        tracing::info!(
            target: "access",
            %client,
            client_port = u64::from(self.client.peer.port()),
            listener = %self.client.local,
            method = asked.map_or("-", |asked| asked.method.as_str()),
            host = words(host)
                .or_else(|| asked.and_then(|asked| asked.target.host()))
                .unwrap_or("-"),
            path = asked.map_or("-", |asked| asked.target.path()),
            target = asked.map(|asked| asked.target.path_and_query().map_or("-", |target| target.as_str())),
            protocol = asked.map(|asked| tracing::field::debug(asked.version)),
            scheme = self.client.forwarded.scheme,
            referer = words(asked.and_then(|asked| asked.referer.as_ref())),
            user_agent = words(asked.and_then(|asked| asked.user_agent.as_ref())),
            user = asked.and_then(|asked| asked.user.as_deref()),
            request_length = asked.map(|asked| asked.length),
            request_id = words(self.id.as_ref()),
            status = self.status(),
            bytes = self.bytes,
            duration_us = micros,
            route = self.rule.as_ref().map(|rule| tracing::field::display(&rule.route.origin)),
            namespace = route.map(|route| &*route.origin.namespace),
            ingress = route.map(|route| &*route.origin.name),
            service = backend.map(|backend| &*backend.service),
            service_port = port,
            upstream = tries.map(|tries| &*tries.addresses),
            upstream_status = tries.map(|tries| &*tries.statuses),
            upstream_response_time = tries.map(|tries| &*tries.times),
            upstream_response_length = tries.map(|tries| &*tries.lengths),
            retries = self.retries(),
            captured = self.captured.words(),
            error = self.error.map(tracing::field::display),
            end = self.end.name(),
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let now = Instant::now();
        self.client.worker.requests.end();
        if self.end == End::ClientGone {
            self.client.abandon();
        }
        self.client.request_ended(now);
        let micros = in_micros(now - self.started);
        self.count(micros);
        if is_wanted() {
            self.log(now, micros);
        }
    }
}

/// Whether anybody listens to access events.
fn is_wanted() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

fn in_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A field's value, as far as it is text.
fn words(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// The request line and the fields, each with its separators, and the body's stated length.
fn length(parts: &Parts) -> u64 {
    let target = parts
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let line = parts.method.as_str().len() + target + " HTTP/1.1\r\n ".len();
    let fields = parts.headers.iter();
    let fields: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    let stated = parts.headers.get(header::CONTENT_LENGTH);
    let body: u64 = words(stated).and_then(|stated| stated.parse().ok()).unwrap_or(0);
    (line + fields + "\r\n".len()) as u64 + body
}

//! The access event: one per request, when it has ended, by whatever knows the end.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, header};

use super::client::Client;
use super::error::ProxyError;
use super::router::Rule;

/// nginx's status for a client that left before its answer began.
const CLIENT_GONE: u16 = 499;

/// A request under way. Dropping it is its end: it tells the event, the worker's gauge and the connection's
/// idle deadline.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) client: Rc<Client>,
    started: Instant,
    /// `None`: a refused request, of which no field is believed, or nobody listens.
    asked: Option<Asked>,
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) endpoint: Option<SocketAddr>,
    /// Tries after the first.
    pub(super) retries: u32,
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
    host: Option<HeaderValue>,
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
        Self {
            client,
            started: Instant::now(),
            asked: None,
            rule: None,
            endpoint: None,
            retries: 0,
            status: None,
            bytes: 0,
            error: None,
            end: End::ClientGone,
        }
    }

    /// What was asked for, in the client's words.
    pub(super) fn asked(&mut self, parts: &Parts) {
        if !is_wanted() {
            return;
        }
        self.asked = Some(Asked {
            method: parts.method.clone(),
            target: parts.uri.clone(),
            host: parts.headers.get(header::HOST).cloned(),
        });
    }

    fn log(&self, now: Instant) {
        let micros = u64::try_from((now - self.started).as_micros()).unwrap_or(u64::MAX);
        let client = self.client.peer.ip();
        let asked = self.asked.as_ref();
        let host = asked.and_then(|asked| asked.host.as_ref());
        tracing::info!(
            target: "access",
            %client,
            listener = %self.client.local,
            method = asked.map_or("-", |asked| asked.method.as_str()),
            host = host.and_then(|host| host.to_str().ok()).unwrap_or("-"),
            path = asked.map_or("-", |asked| asked.target.path()),
            status = self.status.map_or(CLIENT_GONE, |status| status.as_u16()),
            bytes = self.bytes,
            duration_us = micros,
            route = self.rule.as_ref().map(|rule| tracing::field::display(&rule.route.origin)),
            upstream = self.endpoint.map(tracing::field::display),
            retries = self.retries,
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
        if is_wanted() {
            self.log(now);
        }
    }
}

/// Whether anybody listens to access events.
fn is_wanted() -> bool {
    tracing::enabled!(target: "access", tracing::Level::INFO)
}

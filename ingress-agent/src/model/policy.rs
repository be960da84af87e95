//! What a route asks for besides an endpoint: typed values, with the defaults of ingress-nginx.
//!
//! Where a policy cannot be honoured the route is [`Action::Refuse`](super::Action::Refuse), never a route
//! without it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The policies of a route.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policies {
    /// A request that did not come over TLS is redirected there (308). `translate` has decided: the host has
    /// a certificate or the redirect is forced, and the route is not ACME's.
    pub https_redirect: bool,
    /// That redirect keeps a slash at the target's end (`preserve-trailing-slash`).
    pub preserve_trailing_slash: bool,
    /// The largest request body.
    pub body_limit: BodyLimit,
    /// Towards the endpoint.
    pub upstream: UpstreamPolicy,
}

/// The largest request body that is forwarded, in bytes; a larger one is answered 413 (`proxy-body-size`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyLimit {
    /// At most this many.
    Bytes(u64),
    /// As large as it comes: `0`.
    Unlimited,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self::Bytes(1 << 20)
    }
}

/// How endpoints are called.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UpstreamPolicy {
    /// What they speak (`backend-protocol`).
    pub protocol: UpstreamProtocol,
    /// Which of them is called (`load-balance`).
    pub balance: Balance,
    /// What is sent as `Host` (`upstream-vhost`); `None`: what the client sent.
    pub host: Option<Arc<str>>,
    /// How long is waited (`proxy-*-timeout`).
    pub timeouts: Timeouts,
    /// When another endpoint is tried (`proxy-next-upstream*`).
    pub retry: Retry,
}

/// What an endpoint speaks.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 in clear.
    #[default]
    Http,
    /// HTTP/1.1 over TLS; the endpoint's certificate is not checked, as in ingress-nginx without
    /// `proxy-ssl-verify`.
    Https,
}

/// Which endpoint is called.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The less busy of two drawn at random.
    LeastRequest,
    /// The better of two drawn at random by peak-sensitive moving average of the time to answer, decaying
    /// over 10 s, times the requests under way (`ewma`).
    PeakEwma,
}

/// How long is waited for an endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Timeouts {
    /// For the connection.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Between two writes.
    pub send: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            send: Duration::from_secs(60),
        }
    }
}

/// When a request is sent to another endpoint. A request of which something was sent and that is not
/// idempotent is tried again only where `non_idempotent` says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Retry {
    /// The connection failed or broke: `error`.
    pub error: bool,
    /// It took too long: `timeout`.
    pub timeout: bool,
    /// The answer was no HTTP: `invalid_header`.
    pub invalid_header: bool,
    /// The answer had one of these statuses: `http_500`, `http_429` ...
    pub statuses: Vec<u16>,
    /// Also for methods that are not idempotent.
    pub non_idempotent: bool,
    /// Tries in all, the first one included; `None`: as many as there are endpoints.
    pub tries: Option<NonZeroU32>,
    /// No try begins after this long; `None`: no limit.
    pub within: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            error: true,
            timeout: true,
            invalid_header: false,
            statuses: Vec::new(),
            non_idempotent: false,
            tries: NonZeroU32::new(3),
            within: None,
        }
    }
}

//! Whether a request that failed is tried again.

use http::Method;

use crate::proxy::error::ProxyError;
use crate::proxy::guard::Refusal;

/// How a try failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Failure {
    /// No connection came about.
    Connect,
    /// No connection came about in time.
    ConnectTimeout,
    /// The connection ended before anything of the request was written.
    Unsent,
    /// The connection ended after that, and before an answer.
    Lost,
    /// No answer came in time.
    Timeout,
    /// What came is no answer.
    Broken,
    /// The client's body broke off.
    Body(Option<Refusal>),
}

impl Failure {
    /// Whether the request may be tried again. `replayable`: its method is idempotent (RFC 9110 section 9.2.2)
    /// and it has no body, so that the pod sees the same again.
    pub(in crate::proxy) fn may_retry(self, replayable: bool) -> bool {
        match self {
            Self::Connect | Self::ConnectTimeout | Self::Unsent => true,
            Self::Lost | Self::Timeout => replayable,
            Self::Broken | Self::Body(_) => false,
        }
    }
}

impl From<Failure> for ProxyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect | Failure::Unsent => Self::Connect,
            Failure::Lost | Failure::Broken => Self::Upstream,
            Failure::ConnectTimeout | Failure::Timeout => Self::UpstreamTimeout,
            Failure::Body(Some(refusal)) => Self::Refused(refusal),
            Failure::Body(None) => Self::RequestBody,
        }
    }
}

/// Whether doing it twice is doing it once.
pub(in crate::proxy) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_twice_that_must_be_done_once() {
        for (failure, replayable, expected) in [
            (Failure::Connect, false, true),
            (Failure::ConnectTimeout, false, true),
            (Failure::Unsent, false, true),
            (Failure::Lost, true, true),
            (Failure::Lost, false, false),
            (Failure::Timeout, true, true),
            (Failure::Timeout, false, false),
            (Failure::Broken, true, false),
            (Failure::Body(None), true, false),
        ] {
            assert_eq!(
                failure.may_retry(replayable),
                expected,
                "{failure:?} {replayable}"
            );
        }
        assert!(!is_idempotent(&Method::POST) && !is_idempotent(&Method::PATCH));
    }
}

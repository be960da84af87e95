//! Whether a request that failed is tried again.

use std::time::Instant;

use http::Method;

use crate::model::policy::Retry;
use crate::proxy::count::Cause;
use crate::proxy::error::ProxyError;
use crate::proxy::guard::Refusal;

/// How a try failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Failure {
    /// No connection came about.
    Connect(Cause),
    /// No connection came about in time.
    ConnectTimeout,
    /// The connection ended before anything of the request was written.
    Unsent,
    /// The connection ended after that, and before an answer.
    Lost,
    /// No answer came in time, or the pod did not take the request in time.
    Timeout,
    /// What came is no answer.
    Broken,
    /// The answer has a status that the route wants tried again.
    Status,
    /// The client's body broke off.
    Body(Option<Refusal>),
}

/// A request's tries, as its route limits them.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    retry: &'a Retry,
    /// Whether the pod would see the same again.
    replayable: bool,
    started: Instant,
    left: usize,
}

impl Failure {
    /// Whether no pod has seen anything of the request.
    pub(super) fn is_free(self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::Unsent => true,
            Self::Lost | Self::Timeout | Self::Broken | Self::Status | Self::Body(_) => false,
        }
    }

    /// As the metrics tell it; `None`: it is the client's.
    pub(super) fn cause(self) -> Option<Cause> {
        match self {
            Self::Connect(cause) => Some(cause),
            Self::ConnectTimeout => Some(Cause::ConnectTimeout),
            Self::Unsent | Self::Lost => Some(Cause::Reset),
            Self::Timeout => Some(Cause::Timeout),
            Self::Broken => Some(Cause::Malformed),
            Self::Status => Some(Cause::Status),
            Self::Body(_) => None,
        }
    }

    fn may_retry(self, retry: &Retry, replayable: bool) -> bool {
        match self {
            Self::Connect(_) | Self::Unsent => retry.error,
            Self::ConnectTimeout => retry.timeout,
            Self::Lost => retry.error && replayable,
            Self::Timeout => retry.timeout && replayable,
            Self::Broken => retry.invalid_header && replayable,
            Self::Status => replayable,
            Self::Body(_) => false,
        }
    }
}

impl<'a> Tries<'a> {
    /// The first try begins at `started`, of a backend with this many endpoints.
    pub(super) fn new(retry: &'a Retry, replayable: bool, endpoints: usize, started: Instant) -> Self {
        let tries = retry.tries.map(|tries| usize::try_from(tries.get()));
        Self {
            retry,
            replayable,
            started,
            left: tries.map_or(endpoints, |tries| tries.unwrap_or(usize::MAX)),
        }
    }

    /// Whether another try would follow one that failed so at `then`.
    pub(super) fn allow(&self, failure: Failure, then: Instant) -> bool {
        let in_time = |within| then.saturating_duration_since(self.started) < within;
        self.left > 1
            && failure.may_retry(self.retry, self.replayable)
            && self.retry.within.is_none_or(in_time)
    }

    /// Whether another try may follow the one that failed.
    pub(super) fn another(&mut self, failure: Failure, now: Instant) -> bool {
        let is_allowed = self.allow(failure, now);
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

impl From<Failure> for ProxyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(_) | Failure::Unsent => Self::Connect,
            Failure::Lost | Failure::Broken | Failure::Status => Self::Upstream,
            Failure::ConnectTimeout | Failure::Timeout => Self::UpstreamTimeout,
            Failure::Body(Some(refusal)) => Self::Refused(refusal),
            Failure::Body(None) => Self::RequestBody,
        }
    }
}

/// Whether a request may be sent twice: by its method (RFC 9110 section 9.2.2) or because the route says so.
pub(super) fn may_replay(method: &Method, retry: &Retry) -> bool {
    retry.non_idempotent
        || matches!(
            *method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
        )
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;

    const REFUSED: Failure = Failure::Connect(Cause::Refused);
    const FAILURES: [Failure; 8] = [
        REFUSED,
        Failure::ConnectTimeout,
        Failure::Unsent,
        Failure::Lost,
        Failure::Timeout,
        Failure::Broken,
        Failure::Status,
        Failure::Body(None),
    ];

    fn off() -> Retry {
        Retry {
            error: false,
            timeout: false,
            ..Retry::default()
        }
    }

    fn retried(retry: &Retry, replayable: bool) -> Vec<Failure> {
        let fits = |failure: &Failure| failure.may_retry(retry, replayable);
        FAILURES.into_iter().filter(fits).collect()
    }

    #[test]
    fn nothing_is_done_twice_that_must_be_done_once() {
        use Failure::*;
        let all = Retry {
            invalid_header: true,
            ..Retry::default()
        };
        assert_eq!(retried(&all, false), [REFUSED, ConnectTimeout, Unsent]);
        assert_eq!(
            retried(&all, true),
            [REFUSED, ConnectTimeout, Unsent, Lost, Timeout, Broken, Status]
        );
        let retry = Retry::default();
        assert!(!may_replay(&Method::POST, &retry) && !may_replay(&Method::PATCH, &retry));
        assert!(may_replay(&Method::PUT, &retry) && may_replay(&Method::GET, &retry));
        let retry = Retry {
            non_idempotent: true,
            ..retry
        };
        assert!(may_replay(&Method::POST, &retry));
    }

    #[test]
    fn each_word_of_next_upstream_allows_its_failures() {
        use Failure::*;
        let error = Retry { error: true, ..off() };
        assert_eq!(retried(&error, true), [REFUSED, Unsent, Lost, Status]);
        let timeout = Retry {
            timeout: true,
            ..off()
        };
        assert_eq!(retried(&timeout, true), [ConnectTimeout, Timeout, Status]);
        let invalid_header = Retry {
            invalid_header: true,
            ..off()
        };
        assert_eq!(retried(&invalid_header, true), [Broken, Status]);
        assert_eq!(retried(&off(), false), []);
    }

    #[test]
    fn tries_end_by_number_and_by_time() {
        let start = Instant::now();
        let another = |retry: &Retry, endpoints, after: &[u64]| {
            let mut tries = Tries::new(retry, true, endpoints, start);
            let at = |&seconds: &u64| start + Duration::from_secs(seconds);
            let ends = after.iter().map(at);
            ends.map(|now| tries.another(Failure::Lost, now))
                .collect::<Vec<_>>()
        };
        let mut retry = Retry::default();
        assert_eq!(another(&retry, 9, &[0, 9, 99]), [true, true, false]);
        retry.within = Some(Duration::from_secs(5));
        assert_eq!(another(&retry, 9, &[0, 5, 6]), [true, false, false]);
        retry.tries = None;
        assert_eq!(another(&retry, 2, &[0, 1]), [true, false]);
        retry.tries = NonZeroU32::new(1);
        assert_eq!(another(&retry, 2, &[0]), [false]);
    }
}

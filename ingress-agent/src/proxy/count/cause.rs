//! Why a try at an endpoint failed.

/// A bounded label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::proxy) enum Cause {
    /// The pod's kernel refused the connection.
    Refused,
    /// No way to the pod, or its kernel ended the connection before it was one.
    Unreachable,
    /// No connection came about in time.
    ConnectTimeout,
    /// This node had no descriptor, port or memory for it.
    Local,
    /// TLS did not come about: the pod's certificate, name or version.
    Tls,
    /// The connection ended before an answer.
    Reset,
    /// No answer came in time.
    Timeout,
    /// What came is no answer.
    Malformed,
    /// The answer's status is one that the route wants tried again.
    Status,
    /// The answer broke off within its body.
    Truncated,
}

/// Their labels, in the order of [`Cause`].
pub const CAUSES: [&str; 10] = [
    "refused",
    "unreachable",
    "connect_timeout",
    "local",
    "tls",
    "reset",
    "timeout",
    "malformed",
    "status",
    "truncated",
];

impl Cause {
    /// Its place among [`CAUSES`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_label() {
        for (cause, label) in [
            (Cause::Refused, "refused"),
            (Cause::Local, "local"),
            (Cause::Timeout, "timeout"),
            (Cause::Truncated, "truncated"),
        ] {
            assert_eq!(CAUSES[cause.index()], label);
        }
        assert_eq!(Cause::Truncated.index() + 1, CAUSES.len());
    }
}

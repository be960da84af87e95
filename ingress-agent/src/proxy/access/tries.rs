//! A request's tries at endpoints, as its access event tells them: in nginx's words, comma-joined in their order.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::proxy::count::Cause;

/// The tries so far. One that is enough allocates nothing.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Tries {
    ended: Vec<Ended>,
    /// The one under way, since when, or the one whose answer the client gets.
    last: Option<(SocketAddr, Instant)>,
    /// Why they failed, in their order; the last may not have.
    causes: Vec<Cause>,
}

/// A try that another followed.
#[derive(Debug)]
struct Ended {
    endpoint: SocketAddr,
    status: Option<StatusCode>,
    took: Duration,
}

/// One text for each of nginx's variables.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Told {
    /// `$upstream_addr`
    pub(super) addresses: String,
    /// `$upstream_status`: 502 and 504 where no answer came.
    pub(super) statuses: String,
    /// `$upstream_response_time`, in seconds.
    pub(super) times: String,
    /// `$upstream_response_length`, in bytes of the body.
    pub(super) lengths: String,
}

impl Tries {
    /// The next one begins.
    pub(in crate::proxy) fn begin(&mut self, endpoint: SocketAddr, now: Instant) {
        self.last = Some((endpoint, now));
    }

    /// The one under way has failed and another may follow. `status` is the endpoint's answer, or what its failure
    /// would have been answered with.
    pub(in crate::proxy) fn fail(&mut self, status: Option<StatusCode>, now: Instant) {
        if let Some((endpoint, began)) = self.last.take() {
            let took = now.saturating_duration_since(began);
            self.ended.push(Ended {
                endpoint,
                status,
                took,
            });
        }
    }

    /// The one under way has failed; `None`: by the client's fault.
    pub(in crate::proxy) fn blame(&mut self, cause: Option<Cause>) {
        self.causes.extend(cause);
    }

    /// Why the tries failed that others followed, and why the last one did, if it did.
    pub(super) fn causes(&self) -> (&[Cause], Option<Cause>) {
        let before = self.count().saturating_sub(1).min(self.causes.len());
        let (retried, last) = self.causes.split_at(before);
        (retried, last.first().copied())
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.ended.len() + usize::from(self.last.is_some())
    }

    /// In words, at the request's end: `status` and `bytes` are the last one's. `None`: there were none.
    pub(super) fn tell(&self, status: Option<u16>, bytes: u64, now: Instant) -> Option<Told> {
        let last = self.last.map(|(endpoint, began)| {
            let took = now.saturating_duration_since(began);
            (endpoint, status, took, bytes)
        });
        let ended = self.ended.iter().map(|ended| {
            let status = ended.status.map(|status| status.as_u16());
            (ended.endpoint, status, ended.took, 0)
        });
        let tries: Vec<_> = ended.chain(last).collect();
        (!tries.is_empty()).then(|| Told {
            addresses: join(tries.iter().map(|(endpoint, ..)| endpoint)),
            statuses: join(
                tries.iter().map(|(_, status, ..)| {
                    status.map_or_else(|| "-".to_owned(), |status| status.to_string())
                }),
            ),
            times: join(
                tries
                    .iter()
                    .map(|(_, _, took, _)| format!("{}.{:03}", took.as_secs(), took.subsec_millis())),
            ),
            lengths: join(tries.iter().map(|(.., length)| length)),
        })
    }
}

fn join(items: impl Iterator<Item = impl Display>) -> String {
    let items: Vec<_> = items.map(|item| item.to_string()).collect();
    items.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_joined_as_nginx_joins_them() {
        let endpoint = |host| SocketAddr::from(([10, 0, 0, host], 80));
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut tries = Tries::default();
        assert_eq!((tries.count(), tries.tell(Some(503), 9, at(0))), (0, None));
        tries.begin(endpoint(1), at(0));
        tries.blame(Some(Cause::Timeout));
        assert_eq!(tries.causes(), (&[][..], Some(Cause::Timeout)));
        tries.fail(Some(StatusCode::GATEWAY_TIMEOUT), at(1001));
        tries.begin(endpoint(2), at(1001));
        assert_eq!(tries.count(), 2);
        assert_eq!(tries.causes(), (&[Cause::Timeout][..], None));
        let told = tries.tell(Some(200), 12, at(1005)).unwrap();
        assert_eq!(told.addresses, "10.0.0.1:80, 10.0.0.2:80");
        assert_eq!(told.statuses, "504, 200");
        assert_eq!(told.times, "1.001, 0.004");
        assert_eq!(told.lengths, "0, 12");
        // The client left before the second one answered.
        assert_eq!(tries.tell(None, 0, at(1005)).unwrap().statuses, "504, -");
    }
}

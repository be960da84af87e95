//! When a watch of the API server that failed is tried again.
//!
//! Where nobody answers, soon: what happened meanwhile, Pods that ended with it, is to be known soon after the API
//! server is back. Where it answers that it cannot, ever more seldom, so that a hundred agents do not keep it so: a
//! list each in half a minute (OP-7).

use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use kube::core::Status;
use kube::runtime::watcher::{Error, Event};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::time::{Instant, sleep};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest where nobody answers.
const UNANSWERED: Duration = Duration::from_secs(5);
/// The longest where the API server refuses, unless it asks for a longer one.
const REFUSED: Duration = Duration::from_secs(30);
/// The longest that it may ask for.
const ASKED_FOR: Duration = Duration::from_secs(120);
/// By so much more at most, by chance, so that agents that failed together do not come back together.
const SPREAD: Duration = Duration::from_secs(8);
/// So long after a pause without another failure all is forgotten. A list alone proves nothing: the watch from it may
/// be refused.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// How a request for a list or a watch failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Nobody answered, or the API server knows no such kind: that costs it nothing.
    Unanswered,
    /// The API server cannot, or not now.
    Refused {
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
}

impl Failure {
    /// How a watch failed.
    pub fn of(error: &Error) -> Self {
        let status = match error {
            Error::WatchError(status) => status,
            Error::InitialListFailed(kube::Error::Api(status))
            | Error::WatchStartFailed(kube::Error::Api(status))
            | Error::WatchFailed(kube::Error::Api(status)) => status,
            // An answer that is no list: it costs what a list costs.
            Error::NoResourceVersion | Error::InitialListFailed(kube::Error::SerdeError(_)) => {
                return Self::Refused { retry_after: None };
            }
            Error::InitialListFailed(_) | Error::WatchStartFailed(_) | Error::WatchFailed(_) => {
                return Self::Unanswered;
            }
        };
        if status.code != 404 {
            Self::Refused {
                retry_after: asked_for(status),
            }
        } else {
            Self::Unanswered
        }
    }
}

fn asked_for(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// The pauses of one watch. A pure value: it knows no clock and no chance.
#[derive(Debug, Default)]
pub struct Pauses {
    unanswered: u32,
    refused: u32,
    /// When the last one is over.
    over: Option<Instant>,
}

impl Pauses {
    /// The pause after a failure at `now`; `chance` is from 0 to 1.
    pub fn after(&mut self, failure: Failure, now: Instant, chance: f64) -> Duration {
        if self.over.is_some_and(|over| now > over + FORGOTTEN) {
            *self = Self::default();
        }
        let (least, spread) = match failure {
            // Its chance is within, so that the longest is the longest.
            Failure::Unanswered => {
                let half = doubled(&mut self.unanswered, UNANSWERED) / 2;
                (half, half)
            }
            Failure::Refused { retry_after } => {
                let asked_for = retry_after.unwrap_or_default().min(ASKED_FOR);
                let least = doubled(&mut self.refused, REFUSED).max(asked_for);
                (least, least.min(SPREAD))
            }
        };
        let pause = least + spread.mul_f64(chance.clamp(0.0, 1.0));
        self.over = Some(now + pause);
        pause
    }
}

/// Twice as long with each failure.
fn doubled(failures: &mut u32, longest: Duration) -> Duration {
    let pause = FIRST.saturating_mul(1 << (*failures).min(16));
    *failures = failures.saturating_add(1);
    pause.min(longest)
}

/// The events of a watch, each failure of which is followed by a pause.
///
/// kube's own `backoff` begins anew with every list that is asked for, so that its pauses never grow while lists fail.
pub fn paced<'a, K: Send + 'a>(
    events: impl Stream<Item = Result<Event<K>, Error>> + Send + 'a,
) -> BoxStream<'a, Result<Event<K>, Error>> {
    let begin = (events.boxed(), Pauses::default(), None);
    let paced = stream::unfold(begin, async |(mut events, mut pauses, pause)| {
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let event = events.next().await?;
        let failure = event.as_ref().err().map(Failure::of);
        let pause = failure.map(|failure| pauses.after(failure, Instant::now(), chance()));
        Some((event, (events, pauses, pause)))
    });
    paced.boxed()
}

/// From 0 to 1, so that those that failed or began together do not ask together. Without random bytes they do, which
/// harms little.
pub fn chance() -> f64 {
    let mut bytes = [0; 2];
    _ = getrandom(&mut bytes, GetRandomFlags::empty());
    f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests;

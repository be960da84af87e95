//! A request of which somebody waits for the answer.
//!
//! An answer that does not come has two causes: the connection is dead, and then another one is better tried soon; or
//! the API server is slow, and then who does not wait never hears it. Which it is shows in what was tried before.

use std::time::Duration;

use kube::Error;
use kube::core::Status;
use tokio::time::{Instant, timeout};

/// Why a request has no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The object was written, made or deleted by somebody since it was read.
    #[error("somebody else wrote it")]
    Outdated,
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Anything else.
    #[error(transparent)]
    Api(Error),
}

impl RequestError {
    /// Whether the API server refuses this very request: it answers others.
    pub(super) fn is_refusal(&self) -> bool {
        let is_refusal =
            |status: &Status| (400..500).contains(&status.code) && ![401, 429].contains(&status.code);
        matches!(self, Self::Api(Error::Api(status)) if is_refusal(status))
    }
}

/// The answer to a request, if it comes in time.
pub(super) async fn answer<T>(
    within: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, RequestError> {
    let answer = timeout(within, request)
        .await
        .map_err(|_| RequestError::Late(within))?;
    answer.map_err(|error| {
        let is_outdated = |status: &Status| {
            // A namespace that is not there is nobody's doing.
            let of_namespace = status
                .details
                .as_ref()
                .is_some_and(|details| details.kind == "namespaces");
            status.is_conflict() || status.is_already_exists() || (status.is_not_found() && !of_namespace)
        };
        if matches!(&error, Error::Api(status) if is_outdated(status)) {
            RequestError::Outdated
        } else {
            RequestError::Api(error)
        }
    })
}

/// The longest wait for an answer: a slow server's on a new connection takes a handshake more.
pub(super) const MOST: Duration = Duration::from_secs(12);

/// How long the answers to one task's requests are waited for: as short as is of use where they come at once, longer
/// where they are late.
#[derive(Debug)]
pub(super) struct Patience {
    least: Duration,
    now: Duration,
}

impl Patience {
    pub(super) fn new(least: Duration) -> Self {
        Self { least, now: least }
    }

    /// The answer to a request, if it comes in time.
    pub(super) async fn answer<T>(
        &mut self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RequestError> {
        let begun = Instant::now();
        let answer = answer(self.now, request).await;
        self.learn(&answer, begun.elapsed());
        answer
    }

    fn learn<T>(&mut self, answer: &Result<T, RequestError>, took: Duration) {
        let next = match answer {
            Ok(_) | Err(RequestError::Late(_) | RequestError::Outdated) => took * 2,
            // Perhaps nobody was there: that says nothing of how long answers take.
            Err(RequestError::Api(_)) => self.now,
        };
        self.now = next.clamp(self.least, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(2);

    /// A request that takes so many seconds. Whether it is answered in time.
    fn ask(patience: &mut Patience, takes: u64) -> bool {
        let takes = Duration::from_secs(takes);
        let answer = if takes <= patience.now {
            Ok(())
        } else {
            Err(RequestError::Late(patience.now))
        };
        patience.learn(&answer, takes.min(patience.now));
        answer.is_ok()
    }

    /// OP-7: a dead connection is given up soon, and a server that answers after 5 s is heard.
    #[test]
    fn who_is_late_is_waited_for_longer_and_who_is_not_is_not() {
        let mut patience = Patience::new(LEAST);
        assert!(ask(&mut patience, 0));
        assert_eq!(patience.now, LEAST);
        // A new connection's handshake takes 5 s too.
        let late = std::iter::repeat_with(|| ask(&mut patience, 10)).take_while(|answered| !answered);
        assert_eq!(late.count(), 3);
        assert!((0..10).all(|_| ask(&mut patience, 5)));
        assert!(ask(&mut patience, 0));
        assert_eq!(patience.now, LEAST, "as before once it is fast again");
    }
}

//! When a watch of the API server that failed is tried again.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{DefaultBackoff, Error, Event};
use tokio::time::sleep;

/// The longest pause after no answer. What happened while the API server was away, Pods that ended with it, is known
/// soon after it is back; kube's own half a minute, twice where the API server has forgotten what was seen last, is
/// too long for that.
const LONGEST: Duration = Duration::from_secs(5);

/// A watcher's events, with a pause after each error: kube's pauses, which grow up to half a minute and differ by chance
/// from agent to agent. So a hundred agents ask an API server that refuses their lists for each no oftener than every
/// half a minute; one that does not answer is asked at least every 5 s.
///
/// kube's own `backoff` begins anew with every list that is asked for, so that its pauses never grow while lists fail.
pub fn paced<K: Send + 'static>(
    events: impl Stream<Item = Result<Event<K>, Error>> + Send + 'static,
) -> impl Stream<Item = Result<Event<K>, Error>> + Send + Unpin {
    let begin = (events.boxed(), Pauses::default(), None);
    let paced = stream::unfold(begin, async |(mut events, mut pauses, pause)| {
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        let event = events.next().await?;
        let pause = pauses.after(&event);
        Some((event, (events, pauses, pause)))
    });
    paced.boxed()
}

/// How long to wait.
#[derive(Default)]
struct Pauses {
    unanswered: DefaultBackoff,
    refused: DefaultBackoff,
}

impl Pauses {
    fn after<K>(&mut self, event: &Result<Event<K>, Error>) -> Option<Duration> {
        match event {
            // A list is asked for, and has no answer yet.
            Ok(Event::Init) => None,
            Ok(Event::InitApply(_) | Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                self.unanswered.reset();
                self.refused.reset();
                None
            }
            Err(error) if is_refusal(error) => self.refused.next(),
            Err(_) => self.unanswered.next().map(|pause| pause.min(LONGEST)),
        }
    }
}

/// Whether the API server has answered, and may have too much to do. That it knows no such kind costs it nothing.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status)) => status.code != 404,
        Error::WatchError(_) => true,
        Error::InitialListFailed(_)
        | Error::WatchStartFailed(_)
        | Error::WatchFailed(_)
        | Error::NoResourceVersion => false,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    type Told = Result<Event<()>, Error>;

    fn refused() -> Told {
        let status = Status::failure("busy", "TooManyRequests").with_code(429);
        Err(Error::InitialListFailed(kube::Error::Api(status.boxed())))
    }

    fn unanswered() -> Told {
        Err(Error::InitialListFailed(
            kube::Error::LinesCodecMaxLineLengthExceeded,
        ))
    }

    /// The pauses of a watch whose lists fail one after the other.
    fn pauses(error: fn() -> Told) -> Vec<Duration> {
        let mut pauses = Pauses::default();
        let after = |_| {
            assert_eq!(pauses.after::<()>(&Ok(Event::Init)), None);
            pauses.after(&error()).unwrap()
        };
        (0..20).map(after).collect()
    }

    /// OP-7: a hundred agents ask no oftener than every 30 s each, and not all at once.
    #[test]
    fn a_list_that_is_refused_is_asked_for_less_and_less() {
        let own = pauses(refused);
        assert!(own[0] < Duration::from_secs(2), "{own:?}");
        let half_a_minute = Duration::from_secs(30);
        assert!(own[6..].iter().all(|pause| *pause >= half_a_minute), "{own:?}");
        assert_ne!(own[..3], pauses(refused)[..3], "they differ by chance");
    }

    #[test]
    fn an_api_server_that_does_not_answer_is_asked_every_five_seconds() {
        let pauses = pauses(unanswered);
        assert!(pauses[0] < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses[6..].iter().all(|pause| *pause == LONGEST), "{pauses:?}");
    }

    #[test]
    fn an_answer_ends_the_patience() {
        let mut pauses = Pauses::default();
        let mut after = |event: Told| pauses.after(&event);
        for _ in 0..8 {
            assert!(after(refused()).is_some());
        }
        assert_eq!(after(Ok(Event::InitDone)), None);
        assert!(after(refused()) < Some(Duration::from_secs(2)));
    }

    /// The pause is made: the next list is asked for after it.
    #[tokio::test]
    async fn a_failed_list_is_followed_by_a_pause() {
        let events = stream::iter([refused(), Ok(Event::Init)]);
        let mut events = paced(events);
        assert!(events.next().await.unwrap().is_err());
        let begin = std::time::Instant::now();
        assert!(events.next().await.unwrap().is_ok());
        assert!(
            begin.elapsed() > Duration::from_millis(700),
            "{:?}",
            begin.elapsed()
        );
        assert!(events.next().await.is_none());
    }
}

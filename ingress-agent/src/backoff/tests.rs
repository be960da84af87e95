use std::io;

use kube::core::response::StatusDetails;

use super::*;

const REFUSAL: Failure = Failure::Refused { retry_after: None };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The first pauses, each request failing at once.
fn pauses(failure: Failure, chance: f64) -> Vec<Duration> {
    let (mut pauses, mut now) = (Pauses::default(), Instant::now());
    let next = || {
        let pause = pauses.after(failure, now, chance);
        now += pause;
        pause
    };
    std::iter::repeat_with(next).take(20).collect()
}

fn answered(code: u16, retry_after: u32) -> kube::Error {
    kube::Error::Api(Box::new(Status {
        code,
        details: Some(StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: retry_after,
        }),
        ..Status::default()
    }))
}

#[test]
fn where_nobody_answers_no_pause_is_longer_than_five_seconds() {
    for chance in [0.0, 0.5, 1.0] {
        let pauses = pauses(Failure::Unanswered, chance);
        assert!(
            pauses
                .iter()
                .all(|pause| !pause.is_zero() && *pause <= seconds(5))
        );
        assert!(pauses.first() < pauses.last());
    }
}

/// OP-7: a hundred agents, at most one list each in thirty seconds.
#[test]
fn where_the_server_refuses_pauses_grow_to_half_a_minute_and_differ() {
    let least = pauses(REFUSAL, 0.0);
    assert_eq!(least[..6], [1, 2, 4, 8, 16, 30].map(seconds));
    assert!(least[5..].iter().all(|pause| *pause == seconds(30)));
    let most = pauses(REFUSAL, 1.0);
    assert_eq!(most[..6], [2, 4, 8, 16, 24, 38].map(seconds));
}

#[test]
fn a_pause_that_the_server_asks_for_is_kept() {
    let asks = |pause| Failure::Refused {
        retry_after: Some(seconds(pause)),
    };
    assert_eq!(pauses(asks(20), 0.0)[..5], [20; 5].map(seconds));
    assert_eq!(pauses(asks(1), 0.0), pauses(REFUSAL, 0.0));
    assert_eq!(pauses(asks(86_400), 0.0)[0], ASKED_FOR);
}

#[test]
fn pauses_begin_anew_after_a_minute_without_failure_and_not_before() {
    let (mut pauses, begin) = (Pauses::default(), Instant::now());
    assert_eq!(pauses.after(REFUSAL, begin, 0.0), seconds(1));
    // A list that is answered, and the watch from it is not.
    assert_eq!(pauses.after(REFUSAL, begin + seconds(61), 0.0), seconds(2));
    assert_eq!(pauses.after(REFUSAL, begin + seconds(61 + 63), 0.0), seconds(1));
}

#[test]
fn an_outage_does_not_make_the_first_refusal_after_it_a_long_one() {
    let (mut pauses, mut now) = (Pauses::default(), Instant::now());
    for _ in 0..20 {
        now += pauses.after(Failure::Unanswered, now, 1.0);
    }
    assert_eq!(pauses.after(REFUSAL, now, 0.0), seconds(1));
}

#[test]
fn answers_are_told_from_silence() {
    let silence = Error::WatchFailed(kube::Error::ReadEvents(io::ErrorKind::TimedOut.into()));
    assert_eq!(Failure::of(&silence), Failure::Unanswered);
    let unknown = Error::InitialListFailed(answered(404, 0));
    assert_eq!(Failure::of(&unknown), Failure::Unanswered);
    for code in [403, 410, 429, 500, 503] {
        assert_eq!(Failure::of(&Error::InitialListFailed(answered(code, 0))), REFUSAL);
    }
    let asks = Failure::Refused {
        retry_after: Some(seconds(7)),
    };
    assert_eq!(Failure::of(&Error::WatchFailed(answered(429, 7))), asks);
}

/// The pause is made: the next list is asked for after it.
#[tokio::test]
async fn a_failed_list_is_followed_by_a_pause() {
    let error = Error::InitialListFailed(answered(429, 0));
    let mut events = paced(stream::iter([Err(error), Ok(Event::<()>::Init)]));
    assert!(events.next().await.unwrap().is_err());
    let begin = Instant::now();
    assert!(events.next().await.unwrap().is_ok());
    assert!(begin.elapsed() >= FIRST, "{:?}", begin.elapsed());
    assert!(events.next().await.is_none());
}

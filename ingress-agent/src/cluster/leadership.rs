//! Whether this process leads: told by whoever stands for election, asked by whoever writes for all agents.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::clock;
use super::lease::RENEW_DEADLINE;

/// Whether this process leads. Whoever writes for all agents asks before each write.
#[derive(Clone, Debug)]
pub struct Leadership {
    term: Arc<Term>,
    leads: watch::Receiver<State>,
}

/// Where it is told.
#[derive(Debug)]
pub(super) struct Office {
    term: Arc<Term>,
    leads: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Candidate,
    Leader,
    /// It drains, and stands no more.
    Over,
}

/// How long the term lasts, on [`clock`], in nanoseconds; 0: there is none.
#[derive(Debug, Default)]
struct Term(AtomicU64);

impl Term {
    /// It lasts until then at least.
    fn lasts_until(&self, moment: Duration) {
        let nanoseconds = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanoseconds, Ordering::AcqRel);
    }

    fn ends(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn is_on(&self, now: Duration) -> bool {
        now < Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

/// The two ends; nobody leads yet.
pub(super) fn new() -> (Office, Leadership) {
    let term: Arc<Term> = Arc::default();
    let (sender, receiver) = watch::channel(State::Candidate);
    let office = Office {
        term: Arc::clone(&term),
        leads: sender,
    };
    let leadership = Leadership {
        term,
        leads: receiver,
    };
    (office, leadership)
}

impl Office {
    /// The API server has taken a heartbeat, which it was asked for at that moment: the term lasts from then.
    pub(super) fn renewed(&self, asked_at: Duration) {
        let is_late = !self.is_held();
        self.term.lasts_until(asked_at + RENEW_DEADLINE);
        if is_late {
            // For those too who know that it leads and wait for the clock to say so again.
            self.leads.send_replace(State::Leader);
        }
    }

    /// As [`Leadership::is_held`].
    pub(super) fn is_held(&self) -> bool {
        self.term.is_on(clock::now())
    }

    /// It leads no more.
    pub(super) fn lost(&self) {
        self.term.ends();
        self.leads.send_replace(State::Candidate);
    }

    /// It stands no more.
    pub(super) fn closed(&self) {
        self.term.ends();
        self.leads.send_replace(State::Over);
    }
}

#[cfg(test)]
impl Leadership {
    /// For ever, while what is given beside it lives.
    pub(super) fn held() -> (Self, impl Sized) {
        let (office, leadership) = new();
        office.renewed(clock::now() + Duration::from_secs(1_000_000));
        (leadership, office)
    }
}

impl Leadership {
    /// Whether this process leads at this moment, by a look at the clock: one that slept through its term does not,
    /// even if nothing else of it has woken yet.
    pub fn is_held(&self) -> bool {
        self.term.is_on(clock::now())
    }

    /// Waits until this process leads; for ever if it drains.
    pub async fn is_won(&mut self) {
        if self
            .leads
            .wait_for(|state| *state == State::Leader)
            .await
            .is_err()
        {
            // There is no election any more.
            pending().await
        }
    }

    /// Waits until [`Self::is_held`]: where answers are late, a leader may be none for a while and then is again.
    pub(super) async fn holds(&mut self) {
        while !self.is_held() {
            if self.leads.changed().await.is_err() {
                // There is no election any more.
                pending().await
            }
        }
    }

    /// Waits until this process leads, and does this until it does no more.
    pub(super) async fn for_a_term(&mut self, work: impl Future<Output = Infallible>) {
        self.is_won().await;
        tokio::select! {
            () = self.is_lost() => {}
            never = work => match never {},
        }
    }

    /// Waits until it does not.
    async fn is_lost(&mut self) {
        // An error: there is no election any more, nor a leader.
        _ = self.leads.wait_for(|state| *state != State::Leader).await;
    }

    /// Waits until it stands no more.
    pub(super) async fn is_over(&mut self) {
        _ = self.leads.wait_for(|state| *state == State::Over).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;

    use super::*;

    /// A heartbeat that was asked for so long ago that the term is over after so many milliseconds.
    fn renewed(office: &Office, left: u64) {
        office.renewed(clock::now() + Duration::from_millis(left) - RENEW_DEADLINE);
    }

    /// OP-16: whoever wakes after a pause sees by the clock alone that its term is over.
    #[test]
    fn a_term_ends_by_the_clock() {
        let (office, leadership) = new();
        assert!(!leadership.is_held());
        renewed(&office, 20);
        // Of two answers the one to the earlier request may come later.
        renewed(&office, 0);
        assert!(leadership.is_held());
        std::thread::sleep(Duration::from_millis(21));
        assert!(!leadership.is_held() && !office.is_held());
    }

    /// No wakeup is lost between a term that the clock has ended and the answer that comes after all.
    #[test]
    fn a_late_answer_wakes_who_waits_and_ends_no_work() {
        let (office, leadership) = new();
        renewed(&office, 0);
        let (mut one, mut other) = (leadership.clone(), leadership);
        let mut holds = pin!(one.holds());
        let mut work = pin!(other.for_a_term(pending()));
        assert_eq!(holds.as_mut().now_or_never(), None);
        assert_eq!(work.as_mut().now_or_never(), None);
        renewed(&office, 60_000);
        assert_eq!(holds.now_or_never(), Some(()));
        assert_eq!(work.as_mut().now_or_never(), None);
        office.lost();
        assert_eq!(work.now_or_never(), Some(()));
    }
}

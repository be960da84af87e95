//! Who holds a Lease and which Leases have ended: decided by what was seen to change, on a clock of ours.
//!
//! No time that stands in a Lease is compared with any clock. Silence counts only while the API server answers: what
//! nobody could write has not ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::lease::{Beat, DURATION, OWN_SILENCE};

/// After so long without a heartbeat the leader's Lease is free.
pub(super) const TERM: Duration = Duration::from_secs(TERM_SECONDS as u64);
/// [`TERM`] in seconds.
pub(super) const TERM_SECONDS: u16 = 10;
/// How often a leader renews it.
pub(super) const RENEW: Duration = Duration::from_secs(3);
/// A leader that could not renew for so long leads no more: before anybody else may, with room for a write that is
/// under way; and not while answers are five seconds late.
pub(super) const RENEW_DEADLINE: Duration = Duration::from_millis(8500);
/// A leader that lives is heard within this, once the API server answers.
const PROOF: Duration = Duration::from_millis(3500);

/// Waits for the leader's Lease to be free.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Who waits.
    identity: Arc<str>,
    /// Up to a second, other than that of other candidates.
    jitter: Duration,
    seen: Option<Seen>,
}

/// The Lease as it was seen last.
#[derive(Debug)]
struct Seen {
    beat: Beat,
    /// When it came to be so, at the latest.
    since: Duration,
    /// When, after a silence, the API server was seen to answer that it is so still.
    confirmed: Option<Duration>,
}

/// What a candidate does next.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing before that moment.
    Wait(Duration),
    /// Read the Lease.
    Look,
    /// Take the Lease as it was seen.
    Take,
}

impl Candidate {
    pub(super) fn new(identity: &Arc<str>, jitter: Duration) -> Self {
        Self {
            identity: Arc::clone(identity),
            jitter,
            seen: None,
        }
    }

    /// Takes note of the Lease; a Lease that does not exist has the default beat.
    pub(super) fn see(&mut self, beat: Beat, now: Duration) {
        match &mut self.seen {
            Some(seen) if seen.beat == beat => {
                if seen.confirmed.is_none() && now >= seen.since + TERM - PROOF {
                    seen.confirmed = Some(now);
                }
            }
            seen => {
                *seen = Some(Seen {
                    beat,
                    since: now,
                    confirmed: None,
                });
            }
        }
    }

    /// Takes note of a request that failed: what was proved before is no proof any more.
    pub(super) fn unanswered(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.confirmed = None;
        }
    }

    /// Takes note that the Lease is another than was seen.
    pub(super) fn outdated(&mut self) {
        self.seen = None;
    }

    /// What to do at `now`.
    pub(super) fn step(&self, now: Duration) -> Step {
        let Some(seen) = &self.seen else {
            return Step::Look;
        };
        let due = match seen.beat.holder() {
            Some(holder) if *holder == *self.identity => now,
            // Whoever lets go of it does so for others to follow at once.
            None => seen.since + self.jitter / 5,
            Some(_) => {
                let silence = seen.since + TERM - PROOF;
                match seen.confirmed {
                    Some(confirmed) => (confirmed + PROOF).max(seen.since + TERM) + self.jitter,
                    None if now < silence => return Step::Wait(silence),
                    None => return Step::Look,
                }
            }
        };
        if now < due { Step::Wait(due) } else { Step::Take }
    }
}

/// Judges which nodes' Leases have ended, as one observer sees them.
#[derive(Debug)]
pub(super) struct Judge {
    own: String,
    own_seen: Option<Duration>,
    seen: BTreeMap<String, (Beat, Duration)>,
}

impl Judge {
    /// The observer, by the name of its own Lease.
    pub(super) fn new(own: &str) -> Self {
        Self {
            own: own.to_owned(),
            own_seen: None,
            seen: BTreeMap::new(),
        }
    }

    /// Takes note of a Lease.
    pub(super) fn see(&mut self, name: &str, beat: Beat, now: Duration) {
        let known = self.seen.get(name).is_some_and(|(last, _)| *last == beat);
        if known {
            return;
        }
        if *name == *self.own {
            let was_silent = self
                .own_seen
                .replace(now)
                .is_none_or(|last| now.saturating_sub(last) > OWN_SILENCE);
            if was_silent {
                self.seen.values_mut().for_each(|(_, since)| *since = now);
            }
        }
        self.seen.insert(name.to_owned(), (beat, now));
    }

    /// Forgets all Leases but these.
    pub(super) fn retain(&mut self, mut exists: impl FnMut(&str) -> bool) {
        self.seen.retain(|name, _| exists(name));
    }

    /// For how long a Lease has been over; `None`: it is not, or it cannot be judged now.
    pub(super) fn over_for(&self, name: &str, now: Duration) -> Option<Duration> {
        let hears = |seen| now.saturating_sub(seen) <= OWN_SILENCE;
        if !self.own_seen.is_some_and(hears) {
            return None;
        }
        let (_, since) = self.seen.get(name)?;
        now.checked_sub(*since + DURATION)
    }
}

#[cfg(test)]
mod tests;

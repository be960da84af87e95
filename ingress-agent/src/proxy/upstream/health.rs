//! Whether an endpoint is given requests, as one atomic that all workers share.
//!
//! ```text
//!            ┌── no connection ──▶ unreachable ──a probe connects──┐
//! well ──────┤                          ▲                          ├──▶ warming ──10 s──▶ well
//!            └── no answer ──────▶ silent ─────a probe is answered─┘
//! ```
//!
//! Times are milliseconds of the caller's clock, an argument of every function.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

/// How long an endpoint that is new to its backend, or was ejected, gets less than its share.
pub(super) const WARM_UP: u64 = 10_000;
/// The part of its share, of 256, that a warming endpoint begins with.
const FIRST_SHARE: u64 = 26;

/// Whether an endpoint is given requests. The later is the worse.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// It gets its share.
    Well,
    /// It is new or back, and gets less than its share.
    Warming,
    /// It takes requests and answers none: it gets some only when no other is left.
    Silent,
    /// It cannot be connected to, and gets none.
    Unreachable,
}

/// Where the state stands; below it is when it began.
const STATE: u32 = 62;
const SINCE: u64 = (1 << STATE) - 1;

/// A [`HealthState`] and since when. Zero is well, since the clock began.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU64);

impl HealthState {
    /// Whether the endpoint is out of use.
    pub fn is_ejected(self) -> bool {
        self >= Self::Silent
    }

    fn of(packed: u64) -> Self {
        match packed >> STATE {
            0 => Self::Well,
            1 => Self::Warming,
            2 => Self::Silent,
            _ => Self::Unreachable,
        }
    }

    fn since(self, now: u64) -> u64 {
        let state: u64 = match self {
            Self::Well => 0,
            Self::Warming => 1,
            Self::Silent => 2,
            Self::Unreachable => 3,
        };
        state << STATE | now & SINCE
    }
}

impl Health {
    /// Of an endpoint in this state since `now`.
    pub(super) fn new(state: HealthState, now: u64) -> Self {
        Self(AtomicU64::new(state.since(now)))
    }

    pub(super) fn state(&self) -> HealthState {
        HealthState::of(self.0.load(Relaxed))
    }

    /// The state and since when.
    pub(super) fn read(&self) -> (HealthState, u64) {
        let packed = self.0.load(Relaxed);
        (HealthState::of(packed), packed & SINCE)
    }

    /// The part of its share that the endpoint gets, of 256. `now` is asked for only while it matters.
    pub(super) fn share(&self, now: impl FnOnce() -> u64) -> u64 {
        let packed = self.0.load(Relaxed);
        match HealthState::of(packed) {
            HealthState::Well => 256,
            HealthState::Silent | HealthState::Unreachable => 0,
            HealthState::Warming => {
                let now = now();
                let warm = now.saturating_sub(packed & SINCE);
                if warm >= WARM_UP {
                    // Ejected meanwhile: then that stays.
                    let well = HealthState::Well.since(now);
                    _ = self.0.compare_exchange(packed, well, Relaxed, Relaxed);
                    return 256;
                }
                FIRST_SHARE + (256 - FIRST_SHARE) * warm / WARM_UP
            }
        }
    }

    /// Takes the endpoint out of use: `state` is an ejected one. True for one caller only until
    /// [`Health::heal`]: that one is to probe.
    pub(super) fn eject(&self, state: HealthState, now: u64) -> bool {
        let worse = |packed| (HealthState::of(packed) < state).then(|| state.since(now));
        let before = self.0.fetch_update(Relaxed, Relaxed, worse);
        before.is_ok_and(|before| !HealthState::of(before).is_ejected())
    }

    /// Takes the endpoint into use again, slowly.
    pub(super) fn heal(&self, now: u64) {
        self.0.store(HealthState::Warming.since(now), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::HealthState::{Silent, Unreachable, Warming, Well};
    use super::*;

    #[test]
    fn one_caller_probes_however_many_eject() {
        let health = Health::default();
        assert_eq!(health.read(), (Well, 0));
        assert!(health.eject(Silent, 3) && !health.eject(Silent, 4));
        assert_eq!(health.read(), (Silent, 3));
        assert!(!health.eject(Unreachable, 5), "worse, and probed already");
        assert!(!health.eject(Silent, 6), "it is worse than that");
        assert_eq!(health.read(), (Unreachable, 5));
        assert_eq!(health.share(|| 7), 0);
        health.heal(8);
        assert_eq!(health.read(), (Warming, 8));
        assert!(health.eject(Unreachable, 9), "it may be ejected again");
    }

    #[test]
    fn a_healed_endpoint_gets_its_share_slowly() {
        let health = Health::new(Warming, 1000);
        let share = |now| health.share(|| now);
        assert_eq!(share(1000), FIRST_SHARE);
        assert!((130..=150).contains(&share(6000)));
        assert!(share(10_999) < 256);
        assert_eq!(share(11_000), 256);
        assert_eq!(health.read(), (Well, 11_000));
        assert_eq!(
            health.share(|| panic!("the clock of an endpoint that is well")),
            256
        );
    }
}

//! Whether an endpoint is given requests, as one atomic that all workers share.
//!
//! ```text
//! well ──connect failure──▶ ejected ──a probe connects──▶ warming ──10 s──▶ well
//! ```
//!
//! Times are milliseconds of the caller's clock, an argument of every function.

use std::sync::atomic::{AtomicU64, Ordering};

/// How long an endpoint that is new to its backend, or was ejected, gets less than its share.
pub(super) const WARM_UP: u64 = 10_000;
/// The part of its share, of 256, that a warming endpoint begins with.
const FIRST_SHARE: u64 = 26;

const WELL: u64 = 0;
const EJECTED: u64 = u64::MAX;

/// [`WELL`], [`EJECTED`], or when the warming began.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU64);

impl Health {
    /// Of an endpoint that joins others at `now`.
    pub(super) fn warming(now: u64) -> Self {
        Self(AtomicU64::new(warming_since(now)))
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.0.load(Ordering::Relaxed) == EJECTED
    }

    /// The part of its share that the endpoint gets, of 256. `now` is asked for only while it matters.
    pub(super) fn share(&self, now: impl FnOnce() -> u64) -> u64 {
        let since = match self.0.load(Ordering::Relaxed) {
            WELL => return 256,
            EJECTED => return 0,
            since => since,
        };
        let warm = now().saturating_sub(since);
        if warm >= WARM_UP {
            // Ejected meanwhile: then that stays.
            _ = self
                .0
                .compare_exchange(since, WELL, Ordering::Relaxed, Ordering::Relaxed);
            return 256;
        }
        FIRST_SHARE + (256 - FIRST_SHARE) * warm / WARM_UP
    }

    /// Takes the endpoint out of use. True for one caller only until [`Health::heal`]: that one is to probe.
    pub(super) fn eject(&self) -> bool {
        self.0.swap(EJECTED, Ordering::Relaxed) != EJECTED
    }

    /// Takes the endpoint into use again, slowly.
    pub(super) fn heal(&self, now: u64) {
        self.0.store(warming_since(now), Ordering::Relaxed);
    }
}

/// As a stamp that is no other state.
fn warming_since(now: u64) -> u64 {
    now.clamp(WELL + 1, EJECTED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_probes_however_many_eject() {
        let health = Health::default();
        assert!(!health.is_ejected());
        assert!(health.eject() && !health.eject());
        assert!(health.is_ejected());
        assert_eq!(health.share(|| 1), 0);
        health.heal(5);
        assert!(!health.is_ejected());
        assert!(health.eject(), "it may be ejected again");
    }

    #[test]
    fn a_healed_endpoint_gets_its_share_slowly() {
        let health = Health::warming(1000);
        let share = |now| health.share(|| now);
        assert_eq!(share(1000), FIRST_SHARE);
        assert!((130..=150).contains(&share(6000)));
        assert!(share(10_999) < 256);
        assert_eq!(share(11_000), 256);
        assert_eq!(
            health.share(|| panic!("the clock of an endpoint that is well")),
            256
        );
        assert_eq!(Health::warming(0).share(|| 0), FIRST_SHARE);
    }
}

//! The clock that Leases are judged by.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since the machine started, with the time it was suspended, which `std::time::Instant` leaves out: a
/// leader that slept through its term must not think that no time has passed. No jump of the wall clock moves it.
pub(super) fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative: the clock begins at zero.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let before = now();
        std::thread::sleep(Duration::from_millis(2));
        let passed = now() - before;
        assert!(passed >= Duration::from_millis(2), "{passed:?}");
    }
}

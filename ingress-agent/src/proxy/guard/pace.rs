//! How fast a client sends a body: at least 1 KiB a second on average, once it was waited for long enough.

use std::time::{Duration, Instant};

/// Bytes a second.
const RATE: u64 = 1024;

/// One body so far. Only the time is counted in which its next bytes were waited for: a pod that takes its time
/// is not the client's fault.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Pace {
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// Nothing is there at `now`. How much longer may be waited: `grace` in all, or as long as what has come may
    /// take.
    pub(in crate::proxy) fn wait(&mut self, now: Instant, grace: Duration) -> Duration {
        let since = *self.since.get_or_insert(now);
        let allowed = Duration::from_millis(self.bytes.saturating_mul(1000) / RATE).max(grace);
        allowed.saturating_sub(self.waited + (now - since))
    }

    /// Something has come at `now`.
    pub(in crate::proxy) fn come(&mut self, now: impl FnOnce() -> Instant, bytes: usize) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(since) = self.since.take() {
            self.waited += now() - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_counts_and_what_has_come_buys_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let left = |pace: &mut Pace, seconds| pace.wait(at(seconds), Duration::from_secs(10)).as_secs();
        let mut pace = Pace::default();
        assert_eq!(left(&mut pace, 0), 10);
        assert_eq!(left(&mut pace, 4), 6);
        pace.come(|| at(9), 1024);
        // The pod was slow for 91 seconds.
        assert_eq!(left(&mut pace, 100), 1);
        assert_eq!(left(&mut pace, 101), 0);
        pace.come(|| at(101), 11 * 1024);
        assert_eq!(left(&mut pace, 101), 2);
    }
}

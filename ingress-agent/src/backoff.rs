//! When a watch of the API server that failed is tried again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// The longest pause. What happened while the API server was away, Pods that ended with it, is known soon after it is
/// back; kube's own half a minute, twice where the API server has forgotten what was seen last, is too long for that.
const LONGEST: Duration = Duration::from_secs(5);

/// kube's pauses, which grow and differ by chance from agent to agent, up to 5 s.
#[derive(Default)]
#[expect(missing_debug_implementations, reason = "kube's has none")]
pub struct WatchBackoff(DefaultBackoff);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_longer_than_five_seconds() {
        let pauses: Vec<_> = WatchBackoff::default().take(20).collect();
        assert_eq!(pauses.len(), 20);
        assert!(pauses.iter().all(|pause| !pause.is_zero() && *pause <= LONGEST));
        assert!(pauses.first() < pauses.last());
    }
}

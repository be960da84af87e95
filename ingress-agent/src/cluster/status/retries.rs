//! What failed and is tried again, each after a pause of its own: one that always fails keeps no other waiting.
//! Pure: the time is given.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::ends::Ends;

/// The pause after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// What failed, by its key.
#[derive(Debug)]
pub(super) struct Retries<K> {
    pauses: BTreeMap<K, Pause>,
    /// The ends of the pauses, in their order.
    ends: Ends<K>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    end: Instant,
}

impl<K> Default for Retries<K> {
    fn default() -> Self {
        Self {
            pauses: BTreeMap::new(),
            ends: Ends::default(),
        }
    }
}

impl<K: Ord + Clone> Retries<K> {
    /// It failed, and its pause begins. Says whether that is the first time.
    pub(super) fn failed(&mut self, key: K, now: Instant) -> bool {
        let last = self.pauses.get(&key).copied();
        if let Some(last) = last {
            self.ends.remove(last.end, &key);
        }
        let length = last.map_or(FIRST, |last| (last.length * 2).min(LONGEST));
        let end = now + length;
        self.ends.insert(end, key.clone());
        self.pauses.insert(key, Pause { length, end });
        last.is_none()
    }

    /// It succeeded, or nobody wants it any more.
    pub(super) fn over(&mut self, key: &K) {
        if let Some(pause) = self.pauses.remove(key) {
            self.ends.remove(pause.end, key);
        }
    }

    /// The first whose pause is over, once.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
        self.ends.take_due(now)
    }

    /// When the next pause is over.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.ends.next_end(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_grow_up_to_a_minute_and_begin_anew_after_a_success() {
        let mut retries = Retries::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..8 {
            retries.failed("a", now);
            let end = retries.next_end(now).unwrap();
            lengths.push((end - now).as_secs());
            now = end;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
        retries.over(&"a");
        assert_eq!(retries.next_end(now), None);
        assert!(retries.failed("a", now));
        assert_eq!(retries.next_end(now), Some(now + seconds(1)));
    }

    #[test]
    fn each_is_due_once_after_its_own_pause() {
        let mut retries = Retries::default();
        let begin = Instant::now();
        assert!(retries.failed("a", begin));
        assert!(!retries.failed("a", begin), "again");
        retries.failed("b", begin);
        assert_eq!(retries.take_due(begin), None);
        assert_eq!(retries.take_due(begin + seconds(1)), Some("b"));
        assert_eq!(retries.take_due(begin + seconds(1)), None);
        assert_eq!(retries.take_due(begin + seconds(2)), Some("a"));
    }
}

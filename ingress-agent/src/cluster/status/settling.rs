//! What is new, and is not published before the other nodes serve it too. Pure: the time is given.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::ends::Ends;

/// How long this node serves what is new before it is published. A packet goes to the node that owns its flow, and the
/// others hear of what is new at the same moment as this one. Whoever takes longer than this lags behind, and is not
/// waited for.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// What is new, by its key.
#[derive(Debug)]
pub(super) struct Settling<K> {
    until: BTreeMap<K, Instant>,
    /// The same in the order of their times.
    ends: Ends<K>,
}

impl<K> Default for Settling<K> {
    fn default() -> Self {
        Self {
            until: BTreeMap::new(),
            ends: Ends::default(),
        }
    }
}

impl<K: Ord + Clone> Settling<K> {
    /// It is new now.
    pub(super) fn begin(&mut self, key: K, now: Instant) {
        let end = now + SETTLED;
        if let Some(last) = self.until.insert(key.clone(), end) {
            self.ends.remove(last, &key);
        }
        self.ends.insert(end, key);
    }

    /// Whether it is too new.
    pub(super) fn has(&self, key: &K) -> bool {
        self.until.contains_key(key)
    }

    /// The first that is new no more, once.
    pub(super) fn take_settled(&mut self, now: Instant) -> Option<K> {
        let key = self.ends.take_due(now)?;
        self.until.remove(&key);
        Some(key)
    }

    /// When the next one settles.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.ends.next_end(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_again_begins_again() {
        let begin = Instant::now();
        let mut settling = Settling::default();
        settling.begin("a", begin);
        settling.begin("b", begin);
        let again = begin + SETTLED / 2;
        settling.begin("a", again);
        assert_eq!(settling.next_end(begin), Some(begin + SETTLED));
        assert_eq!(settling.take_settled(again), None);
        assert_eq!(settling.take_settled(begin + SETTLED), Some("b"));
        assert!(settling.has(&"a") && !settling.has(&"b"));
        assert_eq!(settling.take_settled(begin + SETTLED), None);
        assert_eq!(settling.take_settled(again + SETTLED), Some("a"));
        assert_eq!(settling.next_end(again), None);
    }
}

//! When something ends, of many things. Pure: the time is given.

use std::collections::BTreeSet;

use tokio::time::Instant;

/// Keys in the order of their ends.
#[derive(Debug)]
pub(super) struct Ends<K>(BTreeSet<(Instant, K)>);

impl<K> Default for Ends<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Ord + Clone> Ends<K> {
    pub(super) fn insert(&mut self, end: Instant, key: K) {
        self.0.insert((end, key));
    }

    pub(super) fn remove(&mut self, end: Instant, key: &K) {
        self.0.remove(&(end, key.clone()));
    }

    /// The first whose end has come, once.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
        let (end, _) = self.0.first()?;
        let is_due = *end <= now;
        is_due.then(|| self.0.pop_first())?.map(|(_, key)| key)
    }

    /// The next end that is still to come.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.0.iter().map(|(end, _)| *end).find(|end| *end > now)
    }
}

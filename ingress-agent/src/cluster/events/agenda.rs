//! What is to be said, and when. Pure: it knows no client and no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;

use super::telling::Telling;

/// After so long it is said again. The API server forgets an Event an hour after it was last written
/// (`--event-ttl`), and client-go's recorder writes what goes on every half hour too.
pub(super) const REPEAT: Duration = Duration::from_secs(30 * 60);
/// After so long what could not be said is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(60);

/// What is to be said.
#[derive(Debug, Default)]
pub(super) struct Agenda(BTreeMap<Telling, Item>);

/// One thing of it.
#[derive(Debug, Default)]
struct Item {
    due: Duration,
    said: Option<Said>,
}

/// An Event as it was written last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Said {
    pub(super) name: String,
    /// Its `resourceVersion`.
    pub(super) version: String,
    /// How often it was said.
    pub(super) count: i32,
}

impl Said {
    /// What an Event says of itself.
    pub(super) fn of(event: Event) -> Self {
        Self {
            name: event.metadata.name.unwrap_or_default(),
            version: event.metadata.resource_version.unwrap_or_default(),
            count: event.series.map_or(1, |series| series.count),
        }
    }
}

impl Agenda {
    /// These are so now. What is no longer so is said anew when it is so again.
    pub(super) fn set(&mut self, current: BTreeSet<Telling>) {
        self.0.retain(|telling, _| current.contains(telling));
        for telling in current {
            self.0.entry(telling).or_default();
        }
    }

    /// What is due first, with its Event, and when: what was never said before what is to be said again.
    pub(super) fn next(&self) -> Option<(&Telling, Option<&Said>, Duration)> {
        let first = self.0.iter().min_by_key(|(_, item)| item.due);
        first.map(|(telling, item)| (telling, item.said.as_ref(), item.due))
    }

    /// It was said, or not, and then the Event that there may be is not known.
    pub(super) fn tried(&mut self, telling: &Telling, said: Option<Said>, now: Duration) {
        if let Some(item) = self.0.get_mut(telling) {
            item.due = now + if said.is_some() { REPEAT } else { RETRY };
            item.said = said;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::events::PACE;
    use crate::cluster::events::telling::tests::telling;

    fn said(version: &str) -> Said {
        Said {
            name: "web.1".to_owned(),
            version: version.to_owned(),
            count: 1,
        }
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(1000 + second)
    }

    /// Of things that are always so, how long one stays unsaid at most where one is said each `pace`.
    fn longest_silence(things: usize, pace: Duration) -> Duration {
        let tellings: BTreeSet<_> = (0..things).map(|index| telling(&index.to_string())).collect();
        let mut agenda = Agenda::default();
        agenda.set(tellings);
        let mut last = BTreeMap::new();
        let (mut now, mut longest) = (at(0), Duration::ZERO);
        while now < at(3 * REPEAT.as_secs()) {
            let (telling, _, due) = agenda.next().unwrap();
            let telling = telling.clone();
            now = now.max(due);
            if let Some(before) = last.insert(telling.clone(), now) {
                longest = longest.max(now - before);
            }
            agenda.tried(&telling, Some(said("1")), now);
            now += pace;
        }
        assert_eq!(last.len(), things);
        longest
    }

    #[test]
    fn what_is_still_so_is_said_again_before_the_hour_is_over() {
        let mut agenda = Agenda::default();
        let (one, other) = (telling("one"), telling("other"));
        agenda.set([one.clone()].into());
        assert_eq!(agenda.next(), Some((&one, None, Duration::ZERO)));
        agenda.tried(&one, Some(said("7")), at(0));
        assert_eq!(agenda.next(), Some((&one, Some(&said("7")), at(1800))));
        // What is new goes first, and what is gone is forgotten.
        agenda.set([one.clone(), other.clone()].into());
        assert_eq!(agenda.next(), Some((&other, None, Duration::ZERO)));
        agenda.set([other.clone()].into());
        agenda.tried(&other, Some(said("8")), at(1));
        agenda.set([one.clone(), other].into());
        assert_eq!(agenda.next(), Some((&one, None, Duration::ZERO)));
    }

    #[test]
    fn what_cannot_be_said_keeps_nothing_else_from_being_said() {
        let mut agenda = Agenda::default();
        let (one, other) = (telling("one"), telling("other"));
        agenda.set([one.clone(), other.clone()].into());
        agenda.tried(&one, None, at(0));
        assert_eq!(agenda.next(), Some((&other, None, Duration::ZERO)));
        agenda.tried(&other, Some(said("7")), at(1));
        assert_eq!(agenda.next(), Some((&one, None, at(60))));
    }

    #[test]
    fn ten_thousand_are_all_said_again_in_time() {
        // A tenth of them, each as slowly as ten.
        let longest = longest_silence(1000, 10 * PACE);
        assert!(longest < Duration::from_secs(3600), "{longest:?}");
    }
}

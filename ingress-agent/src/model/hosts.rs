//! Values by host pattern.
//!
//! A hash table whose buckets are shared by its versions: [`HostMap::with`] copies the buckets that change, and
//! [`HostMap::map`] computes anew what was made of those. A site of ten thousand hosts changes one of them at
//! the price of a few, and a reader knows by a pointer what stayed.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use super::Host;

/// Chosen at start, so that no author of hosts can aim at a bucket. One for all maps: what is equal has the
/// same buckets.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The most hosts per bucket, on average. A lookup compares as many hashes, a change copies as many hosts.
const PER_BUCKET: usize = 4;

/// Values by host pattern. A clone shares everything.
#[derive(Clone)]
pub struct HostMap<T> {
    /// As many as a power of two, by the low bits of the hash.
    buckets: Vec<Bucket<T>>,
    len: usize,
}

/// By hash, then host.
type Bucket<T> = Arc<[Slot<T>]>;

#[derive(Clone)]
struct Slot<T> {
    hash: u64,
    host: Host,
    value: T,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            len: 0,
        }
    }
}

impl<T> HostMap<T> {
    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every host and its value, by the hosts' precedence. Sorts: for whoever tells or tests.
    pub fn iter(&self) -> impl Iterator<Item = (&Host, &T)> {
        let mut slots: Vec<_> = self.slots().collect();
        slots.sort_by(|a, b| a.host.cmp(&b.host));
        slots.into_iter().map(|slot| (&slot.host, &slot.value))
    }

    /// Every host, in the same order.
    pub fn keys(&self) -> impl Iterator<Item = &Host> {
        self.iter().map(|(host, _)| host)
    }

    /// Every value, in the same order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    fn slots(&self) -> impl Iterator<Item = &Slot<T>> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }

    /// The value of this very pattern.
    pub fn get(&self, host: &Host) -> Option<&T> {
        self.get_key_value(host).map(|(_, value)| value)
    }

    /// The same with the pattern as it is held here.
    pub fn get_key_value(&self, host: &Host) -> Option<(&Host, &T)> {
        let (kind, text) = parts(host);
        self.find(kind, text)
    }

    /// Whether this very pattern is among them.
    pub fn contains_key(&self, host: &Host) -> bool {
        self.get(host).is_some()
    }

    /// The pattern that is this name and no other.
    pub fn exact(&self, name: &str) -> Option<(&Host, &T)> {
        self.find(Kind::Exact, name)
    }

    /// The pattern `*.parent`.
    pub fn wildcard(&self, parent: &str) -> Option<(&Host, &T)> {
        self.find(Kind::Wildcard, parent)
    }

    /// The pattern that matches what no other does.
    pub fn any(&self) -> Option<(&Host, &T)> {
        self.find(Kind::Any, "")
    }

    fn find(&self, kind: Kind, text: &str) -> Option<(&Host, &T)> {
        if self.len == 0 {
            return None;
        }
        let hash = hash(kind, text);
        let bucket = self.buckets.get(place(hash, self.buckets.len()))?;
        let found = bucket
            .iter()
            .find(|slot| slot.hash == hash && parts(&slot.host) == (kind, text))?;
        Some((&found.host, &found.value))
    }

    /// The same hosts with other values. A bucket that stands in `last` too keeps what it became then; where the
    /// values of the two are not made alike, `last` must be another's.
    pub fn map<U>(&self, last: Option<(&Self, &HostMap<U>)>, mut value: impl FnMut(&T) -> U) -> HostMap<U> {
        let buckets = self.buckets.iter().enumerate().map(|(at, bucket)| {
            let known = last.and_then(|(from, to)| {
                let same = Arc::ptr_eq(from.buckets.get(at)?, bucket);
                same.then(|| to.buckets.get(at)).flatten()
            });
            known.cloned().unwrap_or_else(|| {
                let slots = bucket.iter().map(|slot| Slot {
                    hash: slot.hash,
                    host: slot.host.clone(),
                    value: value(&slot.value),
                });
                slots.collect()
            })
        });
        HostMap {
            buckets: buckets.collect(),
            len: self.len,
        }
    }
}

impl<T: Clone> HostMap<T> {
    /// The map after some changes, the last of a host counting; `None` removes it.
    pub fn with(&self, changes: impl IntoIterator<Item = (Host, Option<T>)>) -> Self {
        let mut changes: Vec<_> = changes
            .into_iter()
            .map(|(host, value)| (hash_of(&host), host, value))
            .collect();
        let new = changes
            .iter()
            .filter(|(_, host, value)| value.is_some() && !self.contains_key(host));
        let mut changed = self.clone().in_buckets(buckets_for(self.len + new.count()));
        let count = changed.buckets.len();
        let mut open: Vec<(usize, Vec<Slot<T>>)> = Vec::new();
        changes.sort_by_key(|(hash, ..)| place(*hash, count));
        for (hash, host, value) in changes {
            let at = place(hash, count);
            if open.last().is_none_or(|(last, _)| *last != at) {
                let slots = changed.buckets.get(at).map(|bucket| bucket.to_vec());
                open.push((at, slots.unwrap_or_default()));
            }
            let Some((_, slots)) = open.last_mut() else {
                continue;
            };
            let found = slots.binary_search_by(|slot| (slot.hash, &slot.host).cmp(&(hash, &host)));
            match (found, value) {
                (Ok(index), Some(value)) => _ = slots.get_mut(index).map(|slot| slot.value = value),
                (Ok(index), None) => _ = slots.remove(index),
                (Err(index), Some(value)) => slots.insert(index, Slot { hash, host, value }),
                (Err(_), None) => {}
            }
        }
        for (at, slots) in open {
            if let Some(bucket) = changed.buckets.get_mut(at) {
                changed.len = changed.len + slots.len() - bucket.len();
                *bucket = slots.into();
            }
        }
        let fitting = buckets_for(changed.len);
        changed.in_buckets(fitting)
    }

    /// The same in so many buckets.
    fn in_buckets(self, count: usize) -> Self {
        if self.buckets.len() == count {
            return self;
        }
        let mut buckets: Vec<Vec<Slot<T>>> = (0..count).map(|_| Vec::new()).collect();
        for slot in self.slots() {
            if let Some(bucket) = buckets.get_mut(place(slot.hash, count)) {
                bucket.push(slot.clone());
            }
        }
        let sorted = buckets.into_iter().map(|mut slots| {
            slots.sort_by(|a, b| (a.hash, &a.host).cmp(&(b.hash, &b.host)));
            slots.into()
        });
        Self {
            buckets: sorted.collect(),
            len: self.len,
        }
    }

    /// Every value, to be changed; buckets that others share are copied.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let slots = self.buckets.iter_mut().flat_map(Arc::make_mut);
        slots.map(|slot| &mut slot.value)
    }
}

impl<T: Clone> FromIterator<(Host, T)> for HostMap<T> {
    fn from_iter<I: IntoIterator<Item = (Host, T)>>(entries: I) -> Self {
        Self::default().with(entries.into_iter().map(|(host, value)| (host, Some(value))))
    }
}

impl<T: fmt::Debug> fmt::Debug for HostMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[derive(Clone, Copy, Eq, Hash, PartialEq)]
enum Kind {
    Exact,
    Wildcard,
    Any,
}

fn parts(host: &Host) -> (Kind, &str) {
    match host {
        Host::Exact(name) => (Kind::Exact, name),
        Host::Wildcard(parent) => (Kind::Wildcard, parent),
        Host::Any => (Kind::Any, ""),
    }
}

fn hash_of(host: &Host) -> u64 {
    let (kind, text) = parts(host);
    hash(kind, text)
}

fn hash(kind: Kind, text: &str) -> u64 {
    HASHER.hash_one((text, kind as u8))
}

/// A power of two; none for none.
fn buckets_for(len: usize) -> usize {
    match len {
        0 => 0,
        len => len.div_ceil(PER_BUCKET).next_power_of_two(),
    }
}

/// Which of so many buckets, a power of two, is a hash's.
fn place(hash: u64, count: usize) -> usize {
    usize::try_from(hash & (count.saturating_sub(1) as u64)).unwrap_or_default()
}

#[cfg(test)]
mod tests;

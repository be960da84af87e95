//! The objects of one kind, as digests.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use crate::digest::{Fault, Precedence};
use crate::model::ObjectRef;
use crate::translate::{Entry, Finding};

/// How long an object stays that a new list lacks: a list may be wrong where a delete is not.
pub(super) const HELD: Duration = Duration::from_secs(30);

/// An object's namespace and name.
pub(super) type Key = (Arc<str>, Arc<str>);

/// What a kind's watch tells. A pure value: it knows no client and no clock.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    kind: &'static str,
    objects: BTreeMap<Key, Held<T>>,
    /// The names that the list under way has brought so far.
    listing: Option<HashSet<Key>>,
    listed: bool,
    /// Whether a list may lack one of the objects.
    lacks: bool,
}

#[derive(Debug)]
struct Held<T> {
    precedence: Precedence,
    /// Its `resourceVersion`, of which a later one is greater; 0: not known.
    version: u64,
    /// `None`: no version of it could be read yet, or it is of no use.
    value: Option<Arc<T>>,
    /// Why its last version could not be read. Few objects have one, and it is larger than all else here.
    fault: Option<Box<Fault>>,
    /// When a list first lacked it.
    lacking: Option<Instant>,
}

impl<T> Shelf<T> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            objects: BTreeMap::new(),
            listing: None,
            listed: false,
            lacks: false,
        }
    }

    /// Whether a list was complete once.
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// A list begins; one that was not complete counts for nothing.
    pub(super) fn list_begins(&mut self) {
        self.listing = Some(HashSet::new());
    }

    /// A list is complete. Says whether that changes anything: `now` begins the time of what it lacks.
    pub(super) fn list_ends(&mut self, now: Instant) -> bool {
        let first = !std::mem::replace(&mut self.listed, true);
        let Some(there) = self.listing.take() else {
            return first;
        };
        let mut lacks = false;
        for (key, held) in &mut self.objects {
            if !there.contains(key) && held.lacking.is_none() {
                held.lacking = Some(now);
                lacks = true;
            }
        }
        self.lacks |= lacks;
        // Made of all at once, the map's nodes are full; one by one, in a list's order, each is left half empty.
        self.objects = std::mem::take(&mut self.objects).into_iter().collect();
        first || lacks
    }

    /// An object came, with a list or by itself. Says whether anything about it is another now.
    pub(super) fn put<D>(
        &mut self,
        metadata: &ObjectMeta,
        digest: impl FnOnce(Option<&Arc<T>>) -> Result<D, Fault>,
    ) -> bool
    where
        D: Into<Option<Arc<T>>>,
    {
        let key = key(metadata);
        if let Some(listing) = &mut self.listing {
            listing.insert(key.clone());
        }
        let last = self.objects.remove(&key);
        let last_value = last.as_ref().and_then(|held| held.value.as_ref());
        let (value, fault) = match digest(last_value) {
            Ok(value) => (value.into(), None),
            Err(fault) => (last_value.cloned(), Some(Box::new(fault))),
        };
        let held = Held {
            precedence: Precedence::new(metadata, &Arc::from(""), 0),
            version: version(metadata),
            value,
            fault,
            lacking: None,
        };
        let is_news = last.is_none_or(|last| !last.is(&held));
        self.objects.insert(key, held);
        is_news
    }

    /// Whether an event tells of an object as it was before what is known of it: events may come late (OP-7). A list
    /// is never outdated: the API server may have been set back.
    pub(super) fn is_outdated(&self, event: &ObjectMeta) -> bool {
        let held = self.objects.get(&key(event));
        let version = version(event);
        version != 0 && held.is_some_and(|held| version < held.version)
    }

    /// An object could not be had; its last value stays.
    pub(super) fn fail(&mut self, key: &Key, fault: Fault) {
        match self.objects.get_mut(key) {
            Some(held) => held.fault = Some(Box::new(fault)),
            None => {
                let held = Held {
                    precedence: Precedence::Uncreated {
                        file: Arc::from(""),
                        position: 0,
                    },
                    version: 0,
                    value: None,
                    fault: Some(Box::new(fault)),
                    lacking: None,
                };
                self.objects.insert(key.clone(), held);
            }
        }
    }

    /// Lets go of an object at once. Says whether it was there.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        self.objects.remove(key).is_some()
    }

    /// The API server says that an object was deleted. Says whether it was there.
    pub(super) fn delete(&mut self, metadata: &ObjectMeta) -> bool {
        self.remove(&key(metadata))
    }

    /// An object's value.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<T>> {
        self.objects.get(key)?.value.as_ref()
    }

    /// Lets go of what lists have lacked for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        if std::mem::take(&mut self.lacks) {
            self.objects
                .retain(|_, held| held.lacking.is_none_or(|since| now < since + HELD));
            self.lacks = self.objects.values().any(|held| held.lacking.is_some());
        }
    }

    /// When [`Shelf::expire`] has something to do next.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let objects = self.lacks.then(|| self.objects.values());
        let lacking = objects.into_iter().flatten().filter_map(|held| held.lacking);
        lacking.min().map(|since| since + HELD)
    }

    /// The values, and what could not be read.
    pub(super) fn enter(&self, entries: &mut Vec<Entry<T>>, findings: &mut Vec<Finding>) {
        entries.reserve(self.objects.len());
        for ((namespace, name), held) in &self.objects {
            if let Some(value) = &held.value {
                entries.push(Entry {
                    precedence: held.precedence.clone(),
                    place: None,
                    value: Arc::clone(value),
                });
            }
            if let Some(fault) = &held.fault {
                let fault = Fault::clone(fault);
                let fault = match held.value {
                    Some(_) => fault.so("the object stays as it was before"),
                    None => fault,
                };
                findings.push(Finding {
                    object: ObjectRef {
                        kind: self.kind,
                        namespace: Arc::clone(namespace),
                        name: Arc::clone(name),
                    },
                    place: None,
                    fault,
                });
            }
        }
    }
}

impl<T> Held<T> {
    fn is(&self, other: &Self) -> bool {
        self.value.as_ref().map(Arc::as_ptr) == other.value.as_ref().map(Arc::as_ptr)
            && self.precedence == other.precedence
            && self.fault == other.fault
            && self.lacking == other.lacking
    }
}

fn version(metadata: &ObjectMeta) -> u64 {
    let version = metadata.resource_version.as_deref();
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn key(metadata: &ObjectMeta) -> Key {
    (
        Arc::from(metadata.namespace.as_deref().unwrap_or_default()),
        Arc::from(metadata.name.as_deref().unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests;

//! The snapshot by name: what an Ingress refers to.
//!
//! Carried from snapshot to snapshot: only what differs from the last one, pointer by pointer, is entered anew,
//! and told.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::middle::middle;
use super::{Entry, Snapshot};
use crate::digest::{Endpoints, Secret, Service};
use crate::model::ObjectRef;

/// By namespace, then name.
type Named<T> = HashMap<Arc<str>, HashMap<Arc<str>, T>>;

/// Looked up, never iterated over in an order that means something.
#[derive(Debug, Default)]
pub(super) struct Index {
    services: Kind<Service>,
    secrets: Kind<Secret>,
    slices: List<Endpoints>,
    /// By Service.
    by_service: Named<Vec<Arc<Endpoints>>>,
    /// Slices that have something wrong with them.
    faulty: usize,
    /// How many names may still be compared.
    comparisons: Cell<usize>,
}

/// What became of the named objects since the last snapshot.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Services that came, went or changed, or a slice of which did.
    pub(super) services: Names,
    /// Secrets that came, went or changed.
    pub(super) secrets: Names,
}

/// Names of objects of one kind.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// Whether there are objects now where there were none, or none where there were.
    pub(super) renamed: bool,
}

/// Bounds what ten thousand Ingresses that name nothing existing can cost.
const COMPARISONS: usize = 100_000;

impl Index {
    /// Takes over a snapshot.
    pub(super) fn update(&mut self, snapshot: &Snapshot) -> Touched {
        self.comparisons.set(COMPARISONS);
        let mut touched = Touched::default();
        let services = |value: &Service| value.object.clone();
        self.services
            .update(&snapshot.services, services, &mut touched.services);
        let secrets = |value: &Secret| value.object.clone();
        self.secrets
            .update(&snapshot.secrets, secrets, &mut touched.secrets);
        let (gone, new) = self.slices.update(&snapshot.endpoints);
        let faulty =
            |slices: &[Arc<Endpoints>]| slices.iter().filter(|slice| !slice.faults.is_empty()).count();
        self.faulty = self.faulty + faulty(&new) - faulty(&gone);
        for slice in &gone {
            if let Some(service) = &slice.service {
                touched.services.insert(&slice.object.namespace, service);
                let slices = of(&mut self.by_service, &slice.object.namespace, service);
                slices.retain(|other| !Arc::ptr_eq(other, slice));
            }
        }
        for slice in new {
            if let Some(service) = &slice.service {
                touched.services.insert(&slice.object.namespace, service);
                of(&mut self.by_service, &slice.object.namespace, service).push(Arc::clone(&slice));
            }
        }
        touched
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&Arc<Service>> {
        self.services.named.get(namespace)?.get(name)
    }

    /// The slices of a Service.
    pub(super) fn endpoints(&self, namespace: &str, service: &str) -> &[Arc<Endpoints>] {
        let slices = self
            .by_service
            .get(namespace)
            .and_then(|named| named.get(service));
        slices.map_or(&[], Vec::as_slice)
    }

    /// Whether something is wrong with a slice.
    pub(super) fn has_faulty_slices(&self) -> bool {
        self.faulty > 0
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.named.get(namespace)?.get(name)
    }

    /// The Service of that namespace whose name is most like a missed one. Whoever misses very many names gets
    /// no advice on the last of them.
    pub(super) fn nearest_service(&self, namespace: &str, missed: &str) -> Option<String> {
        self.nearest(&self.services.named, namespace, missed)
    }

    /// The same for Secrets.
    pub(super) fn nearest_secret(&self, namespace: &str, missed: &str) -> Option<String> {
        self.nearest(&self.secrets.named, namespace, missed)
    }

    fn nearest<T>(&self, all: &Named<T>, namespace: &str, missed: &str) -> Option<String> {
        let names = all.get(namespace)?;
        let left = self.comparisons.get().checked_sub(names.len())?;
        self.comparisons.set(left);
        crate::digest::nearest::nearest(missed, names.keys().map(|name| &**name))
    }
}

impl Names {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn contains(&self, namespace: &str, name: &str) -> bool {
        self.names
            .get(namespace)
            .is_some_and(|names| names.contains(name))
    }

    fn insert(&mut self, namespace: &Arc<str>, name: &Arc<str>) {
        let names = self.names.entry(Arc::clone(namespace)).or_default();
        names.insert(Arc::clone(name));
    }
}

fn of<'n, T: Default>(named: &'n mut Named<T>, namespace: &Arc<str>, name: &Arc<str>) -> &'n mut T {
    let names = named.entry(Arc::clone(namespace)).or_default();
    names.entry(Arc::clone(name)).or_default()
}

/// Objects of one kind, by name.
#[derive(Debug)]
struct Kind<T> {
    list: List<T>,
    named: Named<Arc<T>>,
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Self {
            list: List::default(),
            named: Named::default(),
        }
    }
}

impl<T> Kind<T> {
    fn update(&mut self, entries: &[Entry<T>], name: impl Fn(&T) -> ObjectRef, touched: &mut Names) {
        let (gone, new) = self.list.update(entries);
        let mut before: HashSet<ObjectRef> = HashSet::new();
        for value in gone {
            let object = name(&value);
            touched.insert(&object.namespace, &object.name);
            if let Some(names) = self.named.get_mut(&object.namespace) {
                names.remove(&object.name);
            }
            before.insert(object);
        }
        for value in new {
            let object = name(&value);
            touched.insert(&object.namespace, &object.name);
            touched.renamed |= !before.remove(&object);
            let names = self.named.entry(object.namespace).or_default();
            names.insert(object.name, value);
        }
        touched.renamed |= !before.is_empty();
    }
}

/// The values of the last snapshot, in its order.
#[derive(Debug)]
struct List<T>(Vec<Arc<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> List<T> {
    /// What went and what came.
    fn update(&mut self, entries: &[Entry<T>]) -> (Vec<Arc<T>>, Vec<Arc<T>>) {
        let same = |value: &Arc<T>, entry: &Entry<T>| Arc::ptr_eq(value, &entry.value);
        let (last, now) = middle(&self.0, entries, same);
        let now: Vec<_> = entries
            .get(now)
            .unwrap_or_default()
            .iter()
            .map(|entry| Arc::clone(&entry.value))
            .collect();
        let gone: Vec<_> = self.0.splice(last, now.iter().cloned()).collect();
        let addresses = |values: &[Arc<T>]| {
            values
                .iter()
                .map(|value| Arc::as_ptr(value).addr())
                .collect::<HashSet<_>>()
        };
        let (stay, were) = (addresses(&now), addresses(&gone));
        let without = |values: Vec<Arc<T>>, known: &HashSet<usize>| {
            let unknown = |value: &Arc<T>| !known.contains(&Arc::as_ptr(value).addr());
            values.into_iter().filter(unknown).collect()
        };
        (without(gone, &stay), without(now, &were))
    }
}

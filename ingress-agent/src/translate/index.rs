//! The snapshot by name: what an Ingress refers to.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use super::{Entry, Snapshot};
use crate::digest::{Endpoints, Secret, Service};

/// Looked up, never iterated over in an order that means something.
pub(super) struct Index<'a> {
    services: HashMap<(&'a str, &'a str), &'a Entry<Service>>,
    endpoints: HashMap<(&'a str, &'a str), Vec<&'a Entry<Endpoints>>>,
    secrets: HashMap<(&'a str, &'a str), &'a Entry<Secret>>,
    /// The names in each namespace, for who missed one by a letter.
    names: OnceCell<HashMap<(&'static str, &'a str), Vec<&'a str>>>,
    snapshot: &'a Snapshot,
    /// How many names may still be compared.
    comparisons: Cell<usize>,
}

/// Bounds what ten thousand Ingresses that name nothing existing can cost.
const COMPARISONS: usize = 100_000;

impl<'a> Index<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut index = Self {
            services: HashMap::with_capacity(snapshot.services.len()),
            endpoints: HashMap::with_capacity(snapshot.services.len()),
            secrets: HashMap::with_capacity(snapshot.secrets.len()),
            names: OnceCell::new(),
            snapshot,
            comparisons: Cell::new(COMPARISONS),
        };
        for entry in &snapshot.services {
            let object = &entry.value.object;
            index.services.insert((&object.namespace, &object.name), entry);
        }
        for entry in &snapshot.endpoints {
            if let Some(service) = &entry.value.service {
                index
                    .endpoints
                    .entry((&entry.value.object.namespace, service))
                    .or_default()
                    .push(entry);
            }
        }
        for entry in &snapshot.secrets {
            let object = &entry.value.object;
            index.secrets.insert((&object.namespace, &object.name), entry);
        }
        index
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&'a Entry<Service>> {
        self.services.get(&(namespace, name)).copied()
    }

    /// The slices of a Service.
    pub(super) fn endpoints<'s>(
        &'s self,
        namespace: &'s str,
        service: &'s str,
    ) -> &'s [&'a Entry<Endpoints>] {
        self.endpoints
            .get(&(namespace, service))
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Entry<Secret>> {
        self.secrets.get(&(namespace, name)).copied()
    }

    /// The name of that kind in that namespace that is most like a missed one. Whoever misses very many
    /// names gets no advice on the last of them.
    pub(super) fn nearest(&self, kind: &'static str, namespace: &str, missed: &str) -> Option<String> {
        let names = self.names.get_or_init(|| names(self.snapshot));
        let names = names.get(&(kind, namespace))?;
        let left = self.comparisons.get().checked_sub(names.len())?;
        self.comparisons.set(left);
        crate::digest::nearest::nearest(missed, names.iter().copied())
    }
}

fn names(snapshot: &Snapshot) -> HashMap<(&'static str, &str), Vec<&str>> {
    let services = snapshot.services.iter().map(|entry| &entry.value.object);
    let secrets = snapshot.secrets.iter().map(|entry| &entry.value.object);
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for object in services.chain(secrets) {
        let key = (object.kind, &*object.namespace);
        names.entry(key).or_default().push(&*object.name);
    }
    names
}

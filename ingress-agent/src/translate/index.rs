//! The snapshot by name: what an Ingress refers to.

use std::collections::{BTreeMap, HashMap};

use super::{Entry, Snapshot};
use crate::digest::{Endpoints, Secret, Service};

/// Looked up, never iterated over in an order that means something.
pub(super) struct Index<'a> {
    services: HashMap<(&'a str, &'a str), &'a Entry<Service>>,
    endpoints: HashMap<(&'a str, &'a str), Vec<&'a Entry<Endpoints>>>,
    secrets: HashMap<(&'a str, &'a str), &'a Entry<Secret>>,
    /// The names in each namespace, for who missed one by a letter.
    names: BTreeMap<(&'static str, &'a str), Vec<&'a str>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut index = Self {
            services: HashMap::with_capacity(snapshot.services.len()),
            endpoints: HashMap::with_capacity(snapshot.services.len()),
            secrets: HashMap::with_capacity(snapshot.secrets.len()),
            names: BTreeMap::new(),
        };
        for entry in &snapshot.services {
            let object = &entry.value.object;
            index.services.insert((&object.namespace, &object.name), entry);
            index
                .names
                .entry(("Service", &object.namespace))
                .or_default()
                .push(&object.name);
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
            index
                .names
                .entry(("Secret", &object.namespace))
                .or_default()
                .push(&object.name);
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

    /// The name of that kind in that namespace that is most like a missed one.
    pub(super) fn nearest(&self, kind: &'static str, namespace: &str, missed: &str) -> Option<String> {
        let names = self
            .names
            .iter()
            .filter(|((k, n), _)| *k == kind && *n == namespace);
        super::report::nearest(missed, names.flat_map(|(_, names)| names.iter().copied()))
    }
}

//! Whose Ingresses are ours.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::audience::Audience;
use super::{CONTROLLER, Entry, Snapshot};
use crate::digest::{Class, Ingress};
use crate::model::ObjectRef;

/// Our classes and their Ingresses.
pub(super) struct Classes<'a> {
    /// By name.
    pub(super) ours: BTreeMap<Arc<str>, &'a Entry<Class>>,
    /// By precedence, with the class each belongs to.
    ingresses: Vec<(Arc<str>, &'a Entry<Ingress>)>,
    /// Ingresses that are not ours.
    others: HashSet<&'a ObjectRef>,
}

/// The Secrets that Ingresses of our classes name, by namespace and name.
pub fn named_secrets(snapshot: &Snapshot) -> BTreeSet<(Arc<str>, Arc<str>)> {
    let classes = snapshot.classes.iter();
    let ours = classes.filter(|class| *class.value.controller == *CONTROLLER);
    let ours: HashSet<_> = ours.map(|class| &class.value.object.name).collect();
    let is_ours = |ingress: &&Entry<Ingress>| {
        let class = ingress.value.class.as_ref().or(snapshot.default_class.as_ref());
        class.is_some_and(|class| ours.contains(class))
    };
    let named = snapshot.ingresses.iter().filter(is_ours).flat_map(|ingress| {
        let secrets = ingress.value.tls.iter().filter_map(|tls| tls.secret.as_ref());
        secrets.map(|name| (Arc::clone(&ingress.value.object.namespace), Arc::clone(name)))
    });
    named.collect()
}

impl<'a> Classes<'a> {
    /// An Ingress is ours when the class it names, or the default class where it names none, is ours.
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let ours = snapshot
            .classes
            .iter()
            .filter(|class| *class.value.controller == *CONTROLLER);
        let ours: BTreeMap<_, _> = ours
            .map(|class| (Arc::clone(&class.value.object.name), class))
            .collect();
        let mut others = HashSet::new();
        let class_of = |entry: &'a Entry<Ingress>| {
            let class = entry.value.class.as_ref().or(snapshot.default_class.as_ref());
            let class = class.filter(|class| ours.contains_key(*class));
            if class.is_none() {
                others.insert(&entry.value.object);
            }
            class.map(|class| (Arc::clone(class), entry))
        };
        let mut ingresses: Vec<_> = snapshot.ingresses.iter().filter_map(class_of).collect();
        ingresses.sort_by(|(_, a), (_, b)| a.precedence.cmp(&b.precedence));
        Self {
            ours,
            ingresses,
            others,
        }
    }

    /// The Ingresses that are served to an audience, by precedence.
    pub(super) fn ingresses_of(&self, audience: &Audience) -> impl Iterator<Item = &'a Entry<Ingress>> {
        let ours = self.ingresses.iter().filter(|(class, entry)| {
            audience.classes.contains(class) && audience.admits(&entry.value.object.namespace)
        });
        ours.map(|(_, entry)| *entry)
    }

    /// Whether it is an Ingress of a class that is not ours: nothing is said about those.
    pub(super) fn are_others(&self, object: &ObjectRef) -> bool {
        self.others.contains(object)
    }

    /// All our Ingresses with their classes, by precedence.
    pub(super) fn ingresses(&self) -> impl Iterator<Item = (&Arc<str>, &'a Entry<Ingress>)> {
        self.ingresses.iter().map(|(class, entry)| (class, *entry))
    }
}

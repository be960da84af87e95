//! Whose Ingresses are ours.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::report::Finding;
use super::{CONTROLLER, Entry, Snapshot};
use crate::digest::{Class, Ingress};

/// Our classes and their Ingresses.
pub(super) struct Classes<'a> {
    /// By name.
    pub(super) ours: BTreeMap<Arc<str>, &'a Entry<Class>>,
    /// The class of Ingresses that name none.
    pub(super) default: Option<&'a Arc<str>>,
    /// The Ingresses of all classes.
    pub(super) all: &'a [Entry<Ingress>],
}

impl<'a> Classes<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let ours = snapshot
            .classes
            .iter()
            .filter(|class| *class.value.controller == *CONTROLLER);
        Self {
            ours: ours
                .map(|class| (Arc::clone(&class.value.object.name), class))
                .collect(),
            default: snapshot.default_class.as_ref(),
            all: &snapshot.ingresses,
        }
    }

    /// An Ingress is ours when the class it names, or the default class where it names none, is ours.
    pub(super) fn class_of<'s>(&'s self, ingress: &'s Ingress) -> Option<&'s Arc<str>> {
        let class = ingress.class.as_ref().or(self.default);
        class.filter(|class| self.ours.contains_key(*class))
    }

    /// What is to be said of the source's findings: nothing about Ingresses of classes that are not ours.
    pub(super) fn judged<'f>(&self, findings: &'f [Finding]) -> impl Iterator<Item = &'f Finding> {
        let about: HashSet<_> = findings.iter().map(|finding| &finding.object).collect();
        let all = self.all.iter().filter(|_| !about.is_empty());
        let others = all.filter(|entry| self.class_of(&entry.value).is_none());
        let others = others.filter_map(|entry| about.get(&entry.value.object).copied());
        let others: HashSet<_> = others.collect();
        findings
            .iter()
            .filter(move |finding| !others.contains(&finding.object))
    }
}

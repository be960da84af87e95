//! Our Ingresses, each with the Secrets that it names.
//!
//! Carried from snapshot to snapshot: an Ingress is read anew when its value, its rank, its class or one of its
//! Secrets is another, and those that were are told apart from those that stay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Entry;
use super::allocation::Own;
use super::audience::Audience;
use super::certificates;
use super::classes::{Classes, Controller};
use super::index::{Index, Names};
use super::middle::middle;
use super::report::Finding;
use crate::digest::ingress::Tls;
use crate::digest::{Fault, Ingress, Secret};
use crate::model::Host;

/// An Ingress as it stands in a snapshot.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) entry: Entry<Ingress>,
    /// The class of ours that it belongs to.
    pub(super) class: Arc<str>,
    /// By whose rules it is read.
    pub(super) controller: Controller,
    /// For each entry of its `spec.tls`, the Secret, if there is one.
    pub(super) secrets: Vec<Option<Arc<Secret>>>,
    /// What is to be said about it, whatever other Ingresses say.
    pub(super) findings: Vec<Finding>,
}

/// All Ingresses.
#[derive(Debug, Default)]
pub(super) struct Readings {
    list: Vec<Item>,
    /// Whose rules each of our classes is read by, and whether there is such an IngressClass.
    classes: BTreeMap<Arc<str>, (Controller, bool)>,
    default_class: Option<Arc<str>>,
    /// Those that ask for an address of their own, by address.
    own: HashMap<usize, Arc<Reading>>,
}

/// `None`: another controller's.
type Item = (Entry<Ingress>, Option<Arc<Reading>>);

/// The readings that are no more, and the new ones.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) gone: Vec<Arc<Reading>>,
    pub(super) new: Vec<Arc<Reading>>,
}

impl Changes {
    /// Those that matter to an audience.
    pub(super) fn of(&self, audience: &Audience) -> Self {
        let held = |readings: &[Arc<Reading>]| {
            let held = readings.iter().filter(|reading| audience.holds(reading));
            held.cloned().collect()
        };
        Self {
            gone: held(&self.gone),
            new: held(&self.new),
        }
    }
}

impl Reading {
    fn new(entry: &Entry<Ingress>, (class, controller): (&Arc<str>, Controller), index: &Index) -> Self {
        let ingress = &entry.value;
        let named = ingress.tls.iter().map(|tls| tls.secret.as_ref());
        let secrets = named.map(|name| index.secret(&ingress.object.namespace, name?).cloned());
        let mut reading = Self {
            entry: entry.clone(),
            class: Arc::clone(class),
            controller,
            secrets: secrets.collect(),
            findings: Vec::new(),
        };
        let faults = ingress.faults.iter().cloned();
        let faults = faults.chain(certificates::faults(&reading, index));
        reading.findings = faults.map(|fault| reading.finding(fault)).collect();
        reading
    }

    /// Whether it asks for an address of its own.
    pub(super) fn asks_for_own_vip(&self) -> bool {
        self.entry.value.annotations.own_vip
    }

    /// A finding about it.
    pub(super) fn finding(&self, fault: Fault) -> Finding {
        Finding {
            object: self.entry.value.object.clone(),
            place: self.entry.place.clone(),
            fault,
        }
    }

    /// Where it and what it names is.
    pub(super) fn namespace(&self) -> &str {
        &self.entry.value.object.namespace
    }

    /// Whether a rule of its is for a host.
    pub(super) fn has_rule(&self, host: &Host) -> bool {
        self.entry.value.rules.iter().any(|rule| rule.host == *host)
    }

    /// The hosts that it names, in a rule or for TLS, each once.
    pub(super) fn hosts(&self) -> BTreeSet<&Host> {
        let Ingress { rules, tls, .. } = &*self.entry.value;
        let rules = rules.iter().map(|rule| &rule.host);
        rules.chain(tls.iter().flat_map(|tls| &tls.hosts)).collect()
    }

    /// Whether Secrets that were touched may be among those that it names.
    fn names_one_of(&self, touched: &Names) -> bool {
        let namespace = &self.entry.value.object.namespace;
        self.tls().any(|(tls, secret)| match (&tls.secret, secret) {
            (Some(name), Some(_)) => touched.contains(namespace, name),
            // What is said of it names the nearest of all others.
            (Some(_), None) => touched.renamed,
            (None, _) => false,
        })
    }

    /// The Secrets of its `spec.tls`, beside the entries.
    pub(super) fn tls(&self) -> impl Iterator<Item = (&Tls, Option<&Arc<Secret>>)> {
        let secrets = self.secrets.iter().map(Option::as_ref);
        self.entry.value.tls.iter().zip(secrets)
    }

    fn class(&self) -> (&Arc<str>, Controller) {
        (&self.class, self.controller)
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let pointers = |reading: &Self| -> Vec<_> {
            let secrets = reading.secrets.iter();
            secrets.map(|secret| secret.as_ref().map(Arc::as_ptr)).collect()
        };
        self.class() == other.class() && self.findings == other.findings && pointers(self) == pointers(other)
    }
}

impl Readings {
    /// Takes over a snapshot's Ingresses. `touched`: the Secrets that are others now.
    pub(super) fn update(&mut self, classes: &Classes<'_>, index: &Index, touched: &Names) -> Changes {
        let read = |entry: &Entry<Ingress>| {
            let class = classes.class_of(&entry.value)?;
            Some(Arc::new(Reading::new(entry, class, index)))
        };
        let (last, now) = middle(&self.list, classes.all, |(last, _), now| last == now);
        let now = classes.all.get(now).unwrap_or_default();
        let begin = last.start;
        let was = self
            .list
            .splice(last, now.iter().map(|entry| (entry.clone(), None)));
        let mut was: HashMap<_, _> = was
            .map(|item| (Arc::as_ptr(&item.0.value).addr(), item))
            .collect();
        let mut changes = Changes::default();
        for (entry, reading) in self.list.iter_mut().skip(begin).take(now.len()) {
            *reading = match was.remove(&Arc::as_ptr(&entry.value).addr()) {
                Some((same, reading)) if same == *entry => reading,
                Some((_, reading)) => {
                    changes.gone.extend(reading);
                    read(entry).inspect(|reading| changes.new.push(Arc::clone(reading)))
                }
                None => read(entry).inspect(|reading| changes.new.push(Arc::clone(reading))),
            };
        }
        changes
            .gone
            .extend(was.into_values().filter_map(|(_, reading)| reading));
        self.read_again(classes, index, touched, &mut changes);
        for gone in &changes.gone {
            self.own.remove(&Arc::as_ptr(gone).addr());
        }
        for new in changes.new.iter().filter(|new| new.asks_for_own_vip()) {
            self.own.insert(Arc::as_ptr(new).addr(), Arc::clone(new));
        }
        changes
    }

    /// The Ingresses that ask for addresses of their own, by precedence.
    pub(super) fn own(&self) -> Vec<Own<'_>> {
        let own = self.own.values().map(|reading| Own {
            class: &reading.class,
            entry: &reading.entry,
        });
        let mut own: Vec<_> = own.collect();
        own.sort_by(|a, b| a.entry.precedence.cmp(&b.entry.precedence));
        own
    }

    /// Reads those whose class or whose Secrets are others now.
    fn read_again(&mut self, classes: &Classes<'_>, index: &Index, touched: &Names, changes: &mut Changes) {
        let ours = classes.names();
        let default_class = classes.default.cloned();
        let same_classes = ours == self.classes && default_class == self.default_class;
        if same_classes && touched.is_empty() {
            return;
        }
        self.classes = ours;
        self.default_class = default_class;
        for (entry, reading) in &mut self.list {
            let class = classes.class_of(&entry.value);
            let same_class = || class == reading.as_ref().map(|reading| reading.class());
            let touched = reading
                .as_ref()
                .is_some_and(|reading| reading.names_one_of(touched));
            if !touched && (same_classes || same_class()) {
                continue;
            }
            let new = class.map(|class| Arc::new(Reading::new(entry, class, index)));
            if let (Some(old), Some(new)) = (&*reading, &new)
                && new.says_the_same_as(old)
            {
                continue;
            }
            changes.new.extend(new.clone());
            changes.gone.extend(std::mem::replace(reading, new));
        }
    }

    /// Those that are served to an audience, as new ones.
    pub(super) fn all_of(&self, audience: &Audience) -> Changes {
        let held = self.iter().filter(|reading| audience.holds(reading));
        Changes {
            gone: Vec::new(),
            new: held.cloned().collect(),
        }
    }

    /// Every Ingress of ours, in no order that means something.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Reading>> {
        self.list.iter().filter_map(|(_, reading)| reading.as_ref())
    }
}

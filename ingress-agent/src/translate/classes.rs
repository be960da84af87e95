//! Whose Ingresses are ours.
//!
//! Those of IngressClasses whose `spec.controller` is ours and, where the agent takes them over, of those whose
//! controller is ingress-nginx's, whatever their names: each Ingress is then read by its controller's rules. An
//! Ingress that names no class belongs to the default class; where there is none it is nobody's.
//!
//! ingress-nginx serves an Ingress with the annotation `kubernetes.io/ingress.class: nginx` also where there is no
//! IngressClass `nginx` (its `GetIngressClass`), and so do we. Where there is one, its controller decides. When both
//! the annotation and `spec.ingressClassName` are set the annotation counts, as the API's text has it; ingress-nginx
//! looks at the field first, but the API server takes no new Ingress with both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::report::Finding;
use super::{CONTROLLER, Entry, INGRESS_NGINX, Snapshot};
use crate::digest::{Class, Ingress};

/// What ingress-nginx takes the annotation for a class of its own by (its `--ingress-class`).
const NGINX: &str = "nginx";

/// The controllers whose classes are served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Controllers {
    /// Ours alone.
    #[default]
    Own,
    /// Ours, and ingress-nginx's are taken over.
    WithIngressNginx,
}

/// The controller that a class is served for: whose rules its Ingresses are read by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Controller {
    Own,
    IngressNginx,
}

/// Our classes and their Ingresses.
pub(super) struct Classes<'a> {
    /// By name.
    pub(super) ours: BTreeMap<Arc<str>, Ours<'a>>,
    /// The class of Ingresses that name none.
    pub(super) default: Option<&'a Arc<str>>,
    /// The Ingresses of all classes.
    pub(super) all: &'a [Entry<Ingress>],
}

/// A class of ours.
#[derive(Clone, Copy)]
pub(super) struct Ours<'a> {
    pub(super) controller: Controller,
    /// `None`: there is no such IngressClass, and Ingresses name it by annotation.
    pub(super) entry: Option<&'a Entry<Class>>,
}

/// The Secrets that Ingresses of our classes name, by namespace and name.
pub fn named_secrets(snapshot: &Snapshot, controllers: Controllers) -> BTreeSet<(Arc<str>, Arc<str>)> {
    let classes = Classes::new(snapshot, controllers);
    let ours = snapshot.ingresses.iter();
    let ours = ours.filter(|ingress| classes.class_of(&ingress.value).is_some());
    let named = ours.flat_map(|ingress| {
        let secrets = ingress.value.tls.iter().filter_map(|tls| tls.secret.as_ref());
        secrets.map(|name| (Arc::clone(&ingress.value.object.namespace), Arc::clone(name)))
    });
    named.collect()
}

/// The IngressClasses that are ours.
pub fn our_classes(snapshot: &Snapshot, controllers: Controllers) -> impl Iterator<Item = &Entry<Class>> {
    let classes = snapshot.classes.iter();
    classes.filter(move |class| controllers.of(&class.value.controller).is_some())
}

/// The Ingresses that are not ours and that an agent that takes over those of ingress-nginx would serve.
pub fn left_to_ingress_nginx(
    snapshot: &Snapshot,
    controllers: Controllers,
) -> impl Iterator<Item = &Entry<Ingress>> {
    let ours = Classes::new(snapshot, controllers);
    let all = Classes::new(snapshot, Controllers::WithIngressNginx);
    let ingresses = snapshot.ingresses.iter();
    ingresses
        .filter(move |entry| ours.class_of(&entry.value).is_none() && all.class_of(&entry.value).is_some())
}

impl<'a> Classes<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, controllers: Controllers) -> Self {
        let ours = snapshot.classes.iter().filter_map(|class| {
            let ours = Ours {
                controller: controllers.of(&class.value.controller)?,
                entry: Some(class),
            };
            Some((Arc::clone(&class.value.object.name), ours))
        });
        let mut classes = Self {
            ours: ours.collect(),
            default: snapshot.default_class.as_ref(),
            all: &snapshot.ingresses,
        };
        if controllers == Controllers::WithIngressNginx
            && let Some(name) = annotated(snapshot)
        {
            let implied = Ours {
                controller: Controller::IngressNginx,
                entry: None,
            };
            classes.ours.insert(Arc::clone(name), implied);
        }
        classes
    }

    /// An Ingress is ours when the class it names, or the default class where it names none, is ours.
    pub(super) fn class_of<'s>(&'s self, ingress: &'s Ingress) -> Option<(&'s Arc<str>, Controller)> {
        let class = ingress.class.as_ref().or(self.default)?;
        let ours = self.ours.get(class)?;
        let is_there = ours.entry.is_some() || ingress.class_annotated;
        is_there.then_some((class, ours.controller))
    }

    /// The names of our classes, and by whose rules each is read.
    pub(super) fn names(&self) -> BTreeMap<Arc<str>, (Controller, bool)> {
        let ours = self.ours.iter();
        ours.map(|(name, ours)| (Arc::clone(name), (ours.controller, ours.entry.is_some())))
            .collect()
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

impl Controllers {
    /// Whose a class is; `None`: nobody's whom we serve.
    fn of(self, controller: &str) -> Option<Controller> {
        match (controller, self) {
            (CONTROLLER, _) => Some(Controller::Own),
            (INGRESS_NGINX, Self::WithIngressNginx) => Some(Controller::IngressNginx),
            (_, Self::Own | Self::WithIngressNginx) => None,
        }
    }
}

/// The class that Ingresses name by annotation for ingress-nginx, where there is no IngressClass of that name.
fn annotated(snapshot: &Snapshot) -> Option<&Arc<str>> {
    let mut classes = snapshot.classes.iter();
    if classes.any(|class| *class.value.object.name == *NGINX) {
        return None;
    }
    let ingresses = snapshot.ingresses.iter().map(|entry| &entry.value);
    let mut named = ingresses.filter(|ingress| ingress.class_annotated);
    named.find_map(|ingress| ingress.class.as_ref().filter(|class| ***class == *NGINX))
}

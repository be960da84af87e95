//! Who is served at a VIP.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::allocation::Own;
use super::readings::{Reading, Readings};
use super::report::Findings;
use super::vips::Binding;
use crate::digest::{Cause, Fault, Selector};

/// Every namespace has this label (Kubernetes 1.22), and a folder knows no other.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Ingresses of these classes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Audience {
    /// Names of our classes.
    pub(super) classes: BTreeSet<Arc<str>>,
    whose: Whose,
}

/// Which of the classes' Ingresses.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Whose {
    /// All of them.
    Everyone,
    /// Those in these namespaces that ask for no address of their own.
    Shared(Selector),
    /// One that asks for it, by namespace and name.
    Own(Arc<str>, Arc<str>),
}

impl Audience {
    /// All Ingresses of some classes.
    pub(super) fn everyone(classes: BTreeSet<Arc<str>>) -> Self {
        let whose = Whose::Everyone;
        Self { classes, whose }
    }

    /// Those of some namespaces that ask for no address of their own.
    pub(super) fn shared(classes: BTreeSet<Arc<str>>, namespaces: Selector) -> Self {
        let whose = Whose::Shared(namespaces);
        Self { classes, whose }
    }

    /// A class's Ingresses in all namespaces that ask for no address of their own.
    pub(super) fn of(class: &Arc<str>) -> Self {
        Self::shared(BTreeSet::from([Arc::clone(class)]), Selector::default())
    }

    /// One Ingress alone.
    pub(super) fn own(own: &Own<'_>) -> Self {
        let object = &own.entry.value.object;
        Self {
            classes: BTreeSet::from([Arc::clone(own.class)]),
            whose: Whose::Own(Arc::clone(&object.namespace), Arc::clone(&object.name)),
        }
    }

    pub(super) fn is_everyone(&self) -> bool {
        self.whose == Whose::Everyone
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self.whose, Whose::Own(_, _))
    }

    /// Whether an Ingress is served.
    pub(super) fn holds(&self, reading: &Reading) -> bool {
        let ingress = &reading.entry.value;
        let (object, asks) = (&ingress.object, ingress.annotations.own_vip);
        self.classes.contains(&reading.class)
            && match &self.whose {
                Whose::Everyone => true,
                Whose::Shared(namespaces) => !asks && admits(namespaces, &object.namespace),
                Whose::Own(namespace, name) => asks && object.namespace == *namespace && object.name == *name,
            }
    }

    /// The namespaces that are served, of an audience that shares its addresses.
    fn namespaces(&self) -> Option<&Selector> {
        match &self.whose {
            Whose::Shared(namespaces) => Some(namespaces),
            Whose::Everyone | Whose::Own(_, _) => None,
        }
    }
}

/// Whether objects of a namespace are served.
pub(super) fn admits(namespaces: &Selector, namespace: &str) -> bool {
    if *namespaces == Selector::default() {
        return true;
    }
    let labels = BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.to_owned())]);
    namespaces.matches(&labels)
}

/// Tells the Ingresses whose class has VIPs, but none for their namespace. Those that ask for an address of their own
/// are told where it is not given.
pub(super) fn judge(bindings: &[Binding], readings: &Readings, findings: &mut Findings) {
    let audiences: BTreeSet<_> = bindings.iter().map(|binding| &binding.audience).collect();
    let shared = audiences
        .iter()
        .filter_map(|audience| Some((&audience.classes, audience.namespaces()?)));
    let shared: Vec<_> = shared.collect();
    if shared
        .iter()
        .all(|(_, namespaces)| **namespaces == Selector::default())
    {
        return;
    }
    let mut unserved: HashMap<(&Arc<str>, &Arc<str>), bool> = HashMap::new();
    for reading in readings.iter().filter(|reading| !reading.asks_for_own_vip()) {
        let (class, namespace) = (&reading.class, &reading.entry.value.object.namespace);
        let is_unserved = || {
            let served = shared.iter().filter(|(classes, _)| classes.contains(class));
            let mut served = served.peekable();
            served.peek().is_some() && !served.any(|(_, namespaces)| admits(namespaces, namespace))
        };
        if *unserved.entry((class, namespace)).or_insert_with(is_unserved) {
            findings.insert(reading.finding(namespace_unserved(class, namespace)));
        }
    }
}

/// Of an Ingress that no pool of its class has an address for, because of its namespace.
pub(super) fn namespace_unserved(class: &str, namespace: &str) -> Fault {
    Fault::refused(Cause::NamespaceUnserved, "metadata.namespace")
        .found(format!(
            "`{namespace}`, which no VipPool of class `{class}` selects"
        ))
        .expected("a namespace that a VipPool's `spec.namespaceSelector` matches")
        .so("the Ingress has no address")
        .change("change the selector, or move the Ingress")
}

//! Who is served at a VIP.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::readings::{Reading, Readings};
use super::report::Findings;
use super::vips::Binding;
use crate::digest::{Cause, Fault, Selector};

/// Every namespace has this label (Kubernetes 1.22), and a folder knows no other.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Ingresses of these classes in these namespaces.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Audience {
    /// Names of our classes.
    pub(super) classes: BTreeSet<Arc<str>>,
    namespaces: Selector,
}

impl Audience {
    pub(super) fn new(classes: BTreeSet<Arc<str>>, namespaces: Selector) -> Self {
        Self { classes, namespaces }
    }

    /// A class's Ingresses in all namespaces.
    pub(super) fn of(class: &Arc<str>) -> Self {
        Self::new(BTreeSet::from([Arc::clone(class)]), Selector::default())
    }

    /// Whether an Ingress is served.
    pub(super) fn holds(&self, reading: &Reading) -> bool {
        self.classes.contains(&reading.class) && self.admits(&reading.entry.value.object.namespace)
    }

    /// Whether objects of a namespace are served.
    fn admits(&self, namespace: &str) -> bool {
        if self.namespaces == Selector::default() {
            return true;
        }
        let labels = BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.to_owned())]);
        self.namespaces.matches(&labels)
    }
}

/// Tells the Ingresses whose class has VIPs, but none for their namespace.
pub(super) fn judge(bindings: &[Binding], readings: &Readings, findings: &mut Findings) {
    let audiences: BTreeSet<_> = bindings.iter().map(|binding| &binding.audience).collect();
    if audiences
        .iter()
        .all(|audience| audience.namespaces == Selector::default())
    {
        return;
    }
    let mut unserved: HashMap<(&Arc<str>, &Arc<str>), bool> = HashMap::new();
    for reading in readings.iter() {
        let (class, namespace) = (&reading.class, &reading.entry.value.object.namespace);
        let is_unserved = || {
            let mut served = audiences
                .iter()
                .filter(|audience| audience.classes.contains(class))
                .peekable();
            served.peek().is_some() && !served.any(|audience| audience.admits(namespace))
        };
        if *unserved.entry((class, namespace)).or_insert_with(is_unserved) {
            let fault = Fault::refused(Cause::NamespaceUnserved, "metadata.namespace")
                .found(format!(
                    "`{namespace}`, which no VipPool of class `{class}` selects"
                ))
                .expected("a namespace that a VipPool's `spec.namespaceSelector` matches")
                .so("the Ingress has no address")
                .change("change the selector, or move the Ingress");
            findings.insert(reading.finding(fault));
        }
    }
}

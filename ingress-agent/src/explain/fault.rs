//! The findings that explain a step.

use std::sync::Arc;

use super::Subject;
use super::step::Step;
use crate::digest::{Fault, Ingress};
use crate::model::{Host, ObjectRef};
use crate::translate::Finding;

/// A finding that explains a step.
#[derive(Clone, Copy)]
pub(super) struct Told<'a>(pub(super) &'a Finding);

impl<'a> Told<'a> {
    /// The worst finding about an object, of those about a field that `concerns` says yes to.
    pub(super) fn of(
        subject: &Subject<'a>,
        object: &ObjectRef,
        concerns: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let findings = subject.report.findings.iter();
        let own = findings.filter(|finding| finding.object == *object && concerns(&finding.fault.field));
        own.max_by_key(|finding| finding.fault.verdict).map(Self)
    }

    /// The finding about the certificate of a name: one of an Ingress that claims it in `spec.tls` or, naming
    /// no certificate for it, in a rule.
    pub(super) fn of_tls(subject: &Subject<'a>, name: &str) -> Option<Self> {
        let patterns = patterns(name);
        let ingresses = subject.snapshot.ingresses.iter();
        let mut faults = ingresses.flat_map(|entry| {
            let ingress = &*entry.value;
            let claims = tls_of(ingress, &patterns);
            // All findings are looked through for those that claim the name only.
            if claims.is_empty() {
                return None;
            }
            Self::of(subject, &ingress.object, |field| {
                claims.iter().any(|claim| is_within(field, claim))
            })
        });
        faults.next()
    }

    /// The step, failing for it.
    pub(super) fn tell(self, step: Step) -> Step {
        let Fault {
            field,
            found,
            expected,
            nearest,
            change,
            ..
        } = &self.0.fault;
        let near = nearest.as_ref().map(|near| format!(" (nearest: {near})"));
        let why = format!("found {found}, expected {expected}{}", near.unwrap_or_default());
        let field = Some(field).filter(|field| !field.is_empty());
        step.from(&self.0.object, field.map(|field| field.to_string()))
            .fails(why, &**change)
    }
}

/// The patterns that match a name, best first.
pub(super) fn patterns(name: &str) -> Vec<Host> {
    let name = name.to_ascii_lowercase();
    let parent = name.split_once('.').map(|(_, parent)| Arc::from(parent));
    let exact = Host::Exact(Arc::from(&*name));
    [exact].into_iter().chain(parent.map(Host::Wildcard)).collect()
}

/// Whether a field is another or stands in it.
pub(super) fn is_within(field: &str, outer: &str) -> bool {
    let rest = field.strip_prefix(outer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The entries of an Ingress's `spec.tls` by which it chooses a certificate for one of these patterns: those that
/// name it or, where a rule has it and no entry does, all.
fn tls_of(ingress: &Ingress, patterns: &[Host]) -> Vec<String> {
    let field = |index: usize| format!("spec.tls[{index}]");
    let naming = ingress.tls.iter();
    let naming = naming.filter(|tls| tls.hosts.iter().any(|host| patterns.contains(host)));
    let naming: Vec<_> = naming.map(|tls| field(tls.index)).collect();
    let has_rule = ingress.rules.iter().any(|rule| patterns.contains(&rule.host));
    if naming.is_empty() && has_rule {
        return ingress.tls.iter().map(|tls| field(tls.index)).collect();
    }
    naming
}

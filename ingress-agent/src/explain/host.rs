//! The step from a name to a host pattern.

use super::Subject;
use super::fault::{Told, patterns};
use super::step::{Step, StepName};
use crate::digest::nearest::nearest;
use crate::model::{Host, Listener, Route};
use crate::proxy::trace::Trace;

/// Whether a listener's site has a pattern of its own for a name.
pub(super) fn is_known(listener: &Listener, name: &str) -> bool {
    let patterns = patterns(name);
    patterns
        .iter()
        .any(|pattern| listener.site.hosts.contains_key(pattern))
}

/// The pattern that a rule answers by; `field`: the rule's, where it is no default backend.
pub(super) fn matched(trace: &Trace, field: &str, rule: &Route) -> Step {
    let name = trace.name.as_deref().unwrap_or("no name");
    match &trace.host {
        Some(pattern) if !trace.is_default => {
            let value = match pattern {
                Host::Exact(_) => format!("`{name}`, by its own rule"),
                Host::Wildcard(_) => format!("`{name}`, by `{pattern}`"),
                Host::Any => format!("`{name}`, by a rule without host"),
            };
            Step::found(StepName::Host, value).from(&rule.origin, Some(format!("{field}.host")))
        }
        Some(pattern) => Step::found(StepName::Host, format!("`{name}`, by `{pattern}`")),
        None => Step::found(StepName::Host, format!("`{name}`, which no rule has")),
    }
}

/// The name's certificate is another namespace's than the one that was shown.
pub(super) fn misdirected(listener: &Listener, trace: &Trace) -> Step {
    let certificates = &listener.site.certificates;
    let name = trace.name.as_deref().unwrap_or_default();
    let matching = patterns(name).into_iter().chain([Host::Any]);
    let mut owned = matching.filter_map(|pattern| certificates.get(&pattern));
    let shown = trace.certificate.as_ref();
    let shown = shown.and_then(|pattern| Some((pattern, certificates.get(pattern)?)));
    let (pattern, shown) = shown.map_or_else(Default::default, |(pattern, certificate)| {
        (pattern.to_string(), certificate.origin.to_string())
    });
    let step = Step::found(
        StepName::Host,
        format!("`{name}`, over a connection for `{pattern}`"),
    );
    let step = match owned.next() {
        Some(own) => step.from(&own.origin, Some("data.tls.crt".to_owned())),
        None => step,
    };
    step.fails(
        format!(
            "the connection was shown the certificate of {shown}, and the one for `{name}` is another namespace's: \
             a request for it needs a connection of its own"
        ),
        format!("ask for https://{name}, or have both hosts' certificates from Secrets of one namespace"),
    )
}

/// No rule has the name, and there is no default backend.
pub(super) fn unknown(subject: &Subject<'_>, listener: &Listener, name: &str) -> Step {
    let step = Step::found(StepName::Host, format!("`{name}`"));
    let patterns = patterns(name);
    let ingresses = subject.snapshot.ingresses.iter();
    let mut claims = ingresses.filter_map(|entry| {
        let mut rules = entry.value.rules.iter();
        rules.find(|rule| patterns.contains(&rule.host))?;
        Some(&entry.value)
    });
    let Some(claimant) = claims.next() else {
        let known: Vec<String> = listener.site.hosts.keys().map(ToString::to_string).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; the nearest is `{near}`"));
        return step.fails(
            format!("no Ingress has a rule for this host{}", near.unwrap_or_default()),
            format!("add a rule with `host: {name}`, or a default backend"),
        );
    };
    if let Some(told) = Told::of(subject, &claimant.object, |_| true) {
        return told.tell(step);
    }
    let class = claimant
        .class
        .as_ref()
        .or(subject.snapshot.default_class.as_ref());
    let class = class.map_or("no class".to_owned(), |class| format!("class `{class}`"));
    step.from(&claimant.object, Some("spec.ingressClassName".to_owned())).fails(
        format!("the Ingress that has this host is of {class}, which is not served here"),
        "name a class of ours in `spec.ingressClassName`: an IngressClass with `controller: ingress-agent.dev/xdp` \
         that, where there are VipPools, one of them serves; classes of ingress-nginx are served with \
         --take-over-ingress-nginx",
    )
}

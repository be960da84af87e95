//! The steps from the request's head to the endpoints.

use std::sync::Arc;

use super::Subject;
use super::step::{Step, StepName};
use crate::digest::nearest::nearest;
use crate::digest::{Cause, Fault, Ingress, Verdict};
use crate::model::policy::{Balance, BodyLimit, UpstreamPolicy, UpstreamProtocol};
use crate::model::{
    Action, Backend, BackendPort, EndpointState, Host, Listener, ObjectRef, PathMatch, Policies, Route,
    VirtualHost,
};
use crate::proxy::trace::Trace;
use crate::translate::Finding;

/// Tells what the trace found, up to the step that ends it.
pub(super) fn steps(subject: &Subject<'_>, listener: &Listener, trace: &Trace, steps: &mut Vec<Step>) {
    let Some(rule) = &trace.rule else {
        steps.push(match (&trace.name, &trace.refusal) {
            // The head was refused before anything was looked up.
            (_, Some((status, why))) if trace.path.is_empty() => {
                Step::found(StepName::Request, format!("answered {}", status.as_u16()))
                    .fails(why.clone(), "correct the request: this depends on no object")
            }
            (name, _) => return unrouted(subject, listener, trace, name.as_deref(), steps),
        });
        return;
    };
    let claim = Claim::find(subject, rule, trace);
    steps.push(host(trace, &claim, rule));
    steps.push(path(trace, &claim, rule));
    steps.push(policies(subject, rule));
    let Action::Forward(backend) = &rule.action else {
        return;
    };
    if trace.redirect.is_some() {
        return;
    }
    let fault = claim.fault(subject, &rule.origin);
    let service = service(backend, &claim, rule);
    match fault.filter(|_| backend.endpoints.is_empty()) {
        Some(fault) if fault.fault.cause != Cause::NoEndpoints => steps.push(Told(fault).tell(service)),
        fault => {
            steps.push(service);
            steps.push(endpoints(backend, fault));
        }
    }
}

/// Whether a listener's site has a pattern of its own for a name.
pub(super) fn knows(listener: &Listener, name: &str) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent);
    let wildcard = parent.map(|parent| Host::Wildcard(Arc::from(parent)));
    let hosts = &listener.site.hosts;
    hosts.contains_key(&Host::Exact(Arc::from(name)))
        || wildcard.is_some_and(|wildcard| hosts.contains_key(&wildcard))
}

/// A finding that explains a step.
pub(super) struct Told<'a>(&'a Finding);

impl Told<'_> {
    /// The step, failing for it.
    pub(super) fn tell(&self, step: Step) -> Step {
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
        step.from(&self.0.object, Some(field.to_string()))
            .fails(why, &**change)
    }
}

/// The finding about the certificate of a name: one of an Ingress that claims it in `spec.tls` or in a rule.
pub(super) fn fault_of_tls<'a>(subject: &Subject<'a>, name: &str) -> Option<Told<'a>> {
    let exact = Host::Exact(Arc::from(name.to_ascii_lowercase()));
    let claims = |ingress: &Ingress| {
        let by_rule = ingress.rules.iter().any(|rule| rule.host == exact);
        by_rule || ingress.tls.iter().any(|tls| tls.hosts.contains(&exact))
    };
    let ingresses = subject.snapshot.ingresses.iter();
    let claimants: Vec<_> = ingresses
        .filter(|entry| claims(&entry.value))
        .map(|entry| &entry.value.object)
        .collect();
    let mut findings = subject.report.findings.iter();
    findings
        .find(|finding| finding.fault.field.starts_with("spec.tls") && claimants.contains(&&finding.object))
        .map(Told)
}

/// Where in its Ingress a route stands.
struct Claim {
    /// `spec.rules[0]`, or `spec.defaultBackend`.
    rule: String,
    /// `spec.rules[0].http.paths[0]`, or `spec.defaultBackend`.
    path: String,
}

impl Claim {
    fn find(subject: &Subject<'_>, route: &Route, trace: &Trace) -> Self {
        let default = || Self {
            rule: "spec.defaultBackend".to_owned(),
            path: "spec.defaultBackend".to_owned(),
        };
        if trace.is_default {
            return default();
        }
        let ingresses = subject.snapshot.ingresses.iter();
        let mut own = ingresses.filter(|entry| entry.value.object == route.origin);
        let Some(ingress) = own.next() else {
            return default();
        };
        let rules = ingress.value.rules.iter();
        let rules = rules.filter(|rule| Some(&rule.host) == trace.host.as_ref());
        let mut paths = rules.flat_map(|rule| rule.paths.iter().map(move |path| (rule.index, path)));
        let found = paths.find(|(_, path)| path.path == route.matches.path);
        found.map_or_else(default, |(rule, path)| Self {
            rule: format!("spec.rules[{rule}]"),
            path: format!("spec.rules[{rule}].http.paths[{}]", path.index),
        })
    }

    /// What is wrong with the backend that stands there.
    fn fault<'a>(&self, subject: &Subject<'a>, origin: &ObjectRef) -> Option<&'a Finding> {
        let mut findings = subject.report.findings.iter();
        let of_backend = |field: &str| {
            let rest = field.strip_prefix(&*self.path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        findings.find(|finding| finding.object == *origin && of_backend(&finding.fault.field))
    }
}

fn host(trace: &Trace, claim: &Claim, rule: &Route) -> Step {
    let name = trace.name.as_deref().unwrap_or("no name");
    match &trace.host {
        Some(pattern) if !trace.is_default => {
            let value = match pattern {
                Host::Exact(_) => format!("`{name}`, by its own rule"),
                Host::Wildcard(_) => format!("`{name}`, by `{pattern}`"),
                Host::Any => format!("`{name}`, by a rule without host"),
            };
            Step::found(StepName::Host, value).from(&rule.origin, Some(format!("{}.host", claim.rule)))
        }
        Some(pattern) => Step::found(StepName::Host, format!("`{name}`, by `{pattern}`")),
        None => Step::found(StepName::Host, format!("`{name}`, which no rule has")),
    }
}

fn path(trace: &Trace, claim: &Claim, rule: &Route) -> Step {
    let path = &trace.path;
    let value = if trace.is_default {
        format!("`{path}`, by the default backend, since no rule matches")
    } else {
        format!("`{path}`, by {}", path_match(rule))
    };
    Step::found(StepName::Path, value).from(&rule.origin, Some(claim.path.clone()))
}

fn path_match(rule: &Route) -> String {
    let path = &rule.matches.path;
    match path {
        PathMatch::Exact(_) => format!("Exact `{}`", path.path()),
        PathMatch::Prefix(_) => format!("Prefix `{}`", path.path()),
    }
}

/// No rule answers: the host is not known, or none of its paths matches.
fn unrouted(
    subject: &Subject<'_>,
    listener: &Listener,
    trace: &Trace,
    name: Option<&str>,
    steps: &mut Vec<Step>,
) {
    let name = name.unwrap_or_default();
    let site = &listener.site;
    let Some((pattern, host)) = trace
        .host
        .as_ref()
        .and_then(|host| site.hosts.get_key_value(host))
    else {
        steps.push(unknown_host(subject, listener, name));
        return;
    };
    steps.push(Step::found(StepName::Host, format!("`{name}`, by `{pattern}`")));
    steps.push(unknown_path(trace, pattern, host));
}

fn unknown_host(subject: &Subject<'_>, listener: &Listener, name: &str) -> Step {
    let step = Step::found(StepName::Host, format!("`{name}`"));
    let wanted = Host::Exact(Arc::from(name));
    let mut ingresses = subject.snapshot.ingresses.iter().map(|entry| &entry.value);
    let claimant = ingresses.find(|ingress| ingress.rules.iter().any(|rule| rule.host == wanted));
    let Some(claimant) = claimant else {
        let known: Vec<String> = listener.site.hosts.keys().map(ToString::to_string).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; the nearest is `{near}`"));
        return step.fails(
            format!("no Ingress has a rule for this host{}", near.unwrap_or_default()),
            format!("add a rule with `host: {name}`, or a default backend"),
        );
    };
    let mut findings = subject.report.findings.iter();
    if let Some(finding) = findings.find(|finding| finding.object == claimant.object) {
        return Told(finding).tell(step);
    }
    let class = claimant
        .class
        .as_ref()
        .or(subject.snapshot.default_class.as_ref());
    let class = class.map_or("no class".to_owned(), |class| format!("class `{class}`"));
    step.from(&claimant.object, Some("spec.ingressClassName".to_owned())).fails(
        format!("the Ingress that has this host is of {class}, which this VIP does not serve"),
        "name a class of ours in `spec.ingressClassName`, and the class in `spec.classes` of the VIP's VipPool",
    )
}

fn unknown_path(trace: &Trace, pattern: &Host, host: &VirtualHost) -> Step {
    let path = &trace.path;
    let step = Step::found(StepName::Path, format!("`{path}`"));
    let known: Vec<String> = host
        .routes
        .iter()
        .take(10)
        .map(|route| path_match(route))
        .collect();
    let step = match host.routes.first() {
        Some(route) => step.from(&route.origin, Some("spec.rules[].http.paths".to_owned())),
        None => step,
    };
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    step.fails(
        format!("no path of host `{pattern}` matches; it has {known}"),
        "add a path to the host's rule (pathType Prefix and `/` matches all), or a default backend",
    )
}

fn policies(subject: &Subject<'_>, rule: &Route) -> Step {
    let annotations = || Some("metadata.annotations".to_owned());
    if matches!(rule.action, Action::Refuse) {
        let step = Step::found(StepName::Policies, "the route refuses every request");
        let mut findings = subject.report.findings.iter();
        let found = findings
            .find(|finding| finding.object == rule.origin && finding.fault.verdict == Verdict::Refused);
        return match found {
            Some(finding) => Told(finding).tell(step),
            None => step.from(&rule.origin, annotations()).fails(
                "the rule asks for what this agent does not honour",
                "see `ingress-agent check` for its Ingress",
            ),
        };
    }
    if rule.policies == Policies::default() {
        return Step::found(StepName::Policies, "the defaults");
    }
    Step::found(StepName::Policies, said(&rule.policies)).from(&rule.origin, annotations())
}

/// The policies that are not the defaults, in the annotations' names.
fn said(policies: &Policies) -> String {
    let Policies {
        https_redirect,
        body_limit,
        upstream:
            UpstreamPolicy {
                protocol,
                balance,
                host,
                timeouts,
                retry,
            },
    } = policies;
    let defaults = UpstreamPolicy::default();
    let mut said = Vec::new();
    if *https_redirect {
        said.push("ssl-redirect".to_owned());
    }
    if *body_limit != BodyLimit::default() {
        said.push(match body_limit {
            BodyLimit::Bytes(bytes) => format!("proxy-body-size: {bytes} bytes"),
            BodyLimit::Unlimited => "proxy-body-size: unlimited".to_owned(),
        });
    }
    match protocol {
        UpstreamProtocol::Http => {}
        UpstreamProtocol::Https => said.push("backend-protocol: HTTPS".to_owned()),
    }
    match balance {
        Balance::RoundRobin => {}
        Balance::LeastRequest => said.push("load-balance: least_request".to_owned()),
        Balance::PeakEwma => said.push("load-balance: ewma".to_owned()),
    }
    if let Some(host) = host {
        said.push(format!("upstream-vhost: {host}"));
    }
    if *timeouts != defaults.timeouts {
        said.push(format!(
            "proxy timeouts: connect {:?}, read {:?}, send {:?}",
            timeouts.connect, timeouts.read, timeouts.send
        ));
    }
    if *retry != defaults.retry {
        said.push("proxy-next-upstream".to_owned());
    }
    said.join("; ")
}

fn service(backend: &Backend, claim: &Claim, rule: &Route) -> Step {
    let id = &backend.id;
    let port = match &id.port {
        BackendPort::Number(number) => number.to_string(),
        BackendPort::Name(name) => format!("`{name}`"),
    };
    let value = format!("Service {}/{}, port {port}", id.namespace, id.service);
    let field = if claim.path == "spec.defaultBackend" {
        "spec.defaultBackend.service".to_owned()
    } else {
        format!("{}.backend.service", claim.path)
    };
    Step::found(StepName::Service, value).from(&rule.origin, Some(field))
}

fn endpoints(backend: &Backend, fault: Option<&Finding>) -> Step {
    let said = |state: EndpointState| match state {
        EndpointState::Ready => "",
        EndpointState::Draining => " (terminating)",
    };
    let each = backend.endpoints.iter();
    let each: Vec<String> = each
        .map(|one| format!("{}{}", one.address, said(one.state)))
        .collect();
    if !each.is_empty() {
        let service = ObjectRef {
            kind: "Service",
            namespace: Arc::clone(&backend.id.namespace),
            name: Arc::clone(&backend.id.service),
        };
        return Step::found(StepName::Endpoints, each.join(", "))
            .from(&service, Some("EndpointSlices: endpoints[].addresses".to_owned()));
    }
    let step = Step::found(StepName::Endpoints, "none");
    match fault {
        Some(fault) => Told(fault).tell(step),
        None => step.fails(
            "the Service has no endpoint that may be called",
            "start its pods, or see why they are not ready",
        ),
    }
}

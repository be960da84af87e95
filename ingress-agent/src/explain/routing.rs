//! The steps from the request's head to the endpoints.

use super::fault::{Told, is_within};
use super::step::{Step, StepName};
use super::{Subject, endpoints, host, policies};
use crate::digest::Cause;
use crate::model::{Action, Backend, BackendPort, Host, Listener, PathMatch, Route, VirtualHost};
use crate::proxy::trace::{Stage, Trace};

/// Tells what the trace found, up to the step that ends it.
pub(super) fn steps(subject: &Subject<'_>, listener: &Listener, trace: &Trace, steps: &mut Vec<Step>) {
    let (Some(rule), Stage::Policies | Stage::Endpoints) = (&trace.rule, trace.stage) else {
        match &trace.refusal {
            Some((status, why)) if trace.stage == Stage::Head => steps.push(
                Step::found(StepName::Request, format!("answered {}", status.as_u16()))
                    .fails(why, "correct the request: this depends on no object"),
            ),
            Some(_) if trace.stage == Stage::Connection => steps.push(host::misdirected(listener, trace)),
            _ => unrouted(subject, listener, trace, steps),
        }
        return;
    };
    let claim = Claim::find(subject, rule, trace);
    steps.push(host::matched(trace, &claim.rule, rule));
    steps.push(path(trace, &claim, rule));
    steps.push(policies::step(subject, rule, trace));
    let Action::Forward(backend) = &rule.action else {
        return;
    };
    if trace.stage != Stage::Endpoints {
        return;
    }
    let fault = Told::of(subject, &rule.origin, |field| is_within(field, &claim.path));
    let service = service(backend, &claim, rule);
    match fault.filter(|_| backend.endpoints.is_empty()) {
        Some(told) if told.0.fault.cause != Cause::NoEndpoints => steps.push(told.tell(service)),
        fault => {
            steps.push(service);
            steps.push(endpoints::step(subject, backend, &trace.endpoints, fault));
        }
    }
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
        let matched = &route.matches.path;
        let found = paths.find(|(_, path)| path.path == *matched || path.nginx.as_ref() == Some(matched));
        found.map_or_else(default, |(rule, path)| Self {
            rule: format!("spec.rules[{rule}]"),
            path: format!("spec.rules[{rule}].http.paths[{}]", path.index),
        })
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
    let written = format!("{} `{}`", path.path_type(), path.path());
    match path {
        PathMatch::Exact(_) | PathMatch::Prefix(_) => written,
        PathMatch::StringPrefix(_) => {
            format!("{written} (any path that begins with this text, as in ingress-nginx)")
        }
    }
}

/// No rule answers: the host is not known, or none of its paths matches.
fn unrouted(subject: &Subject<'_>, listener: &Listener, trace: &Trace, steps: &mut Vec<Step>) {
    let name = trace.name.as_deref().unwrap_or_default();
    let hosts = &listener.site.hosts;
    let matched = trace.host.as_ref().and_then(|host| hosts.get_key_value(host));
    let Some((pattern, virtual_host)) = matched else {
        steps.push(host::unknown(subject, listener, name));
        return;
    };
    steps.push(Step::found(StepName::Host, format!("`{name}`, by `{pattern}`")));
    steps.push(unknown_path(trace, pattern, virtual_host));
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

//! What a rule asks for beside an endpoint.

use http::StatusCode;

use super::Subject;
use super::fault::Told;
use super::step::{Step, StepName};
use crate::digest::Verdict;
use crate::model::policy::{Balance, BodyLimit, Retry, UpstreamPolicy, UpstreamProtocol};
use crate::model::{Action, Policies, Route};
use crate::proxy::trace::{Stage, Trace};
use crate::translate::Finding;

/// The policies, or the one that ends the request.
pub(super) fn step(subject: &Subject<'_>, rule: &Route, trace: &Trace) -> Step {
    let annotations = || Some("metadata.annotations".to_owned());
    if matches!(rule.action, Action::Refuse) {
        return refused(subject, rule);
    }
    let said = said(&rule.policies);
    let step = match &trace.redirect {
        Some(location) => Step::found(StepName::Policies, format!("{said}: sent to {location}")),
        None => Step::found(StepName::Policies, said),
    };
    let step = if *rule.policies == Policies::default() {
        step
    } else {
        step.from(&rule.origin, annotations())
    };
    let Some((status, why)) = trace.refusal.as_ref().filter(|_| trace.stage == Stage::Policies) else {
        return step;
    };
    match *status {
        StatusCode::PAYLOAD_TOO_LARGE => step.from(&rule.origin, annotations()).fails(
            format!("{why}: {}", limit(rule.policies.body_limit)),
            "raise `nginx.ingress.kubernetes.io/proxy-body-size` of the Ingress, `0` for no limit, or send less",
        ),
        StatusCode::BAD_REQUEST => step.fails(why, "correct the request: this depends on no object"),
        _ => step.from(&rule.origin, annotations()).fails(
            format!("{why}: `upstream-vhost` is no Host that can be sent"),
            "correct `nginx.ingress.kubernetes.io/upstream-vhost`",
        ),
    }
}

fn refused(subject: &Subject<'_>, rule: &Route) -> Step {
    let step = Step::found(StepName::Policies, "the route refuses every request");
    let is_why = |finding: &&Finding| {
        finding.object == rule.origin
            && finding.fault.verdict == Verdict::Refused
            && finding.fault.field.starts_with("metadata.annotations")
    };
    let mut findings = subject.report.findings.iter();
    let own = findings.find(is_why).map(Told);
    // Another Ingress of the namespace may close the host; then this one's rules say so.
    let closed = || Told::of(subject, &rule.origin, |_| true);
    match own.or_else(closed) {
        Some(told) => told.tell(step),
        None => step
            .from(&rule.origin, Some("metadata.annotations".to_owned()))
            .fails(
                "the rule asks for what this agent does not honour",
                "see `ingress-agent check` for its Ingress",
            ),
    }
}

fn limit(limit: BodyLimit) -> String {
    match limit {
        BodyLimit::Bytes(bytes) => format!("proxy-body-size: {bytes} bytes"),
        BodyLimit::Unlimited => "proxy-body-size: unlimited".to_owned(),
    }
}

/// The policies that are not the defaults, in the annotations' names.
fn said(policies: &Policies) -> String {
    let Policies {
        https_redirect,
        preserve_trailing_slash,
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
    if *preserve_trailing_slash {
        said.push("preserve-trailing-slash".to_owned());
    }
    if *body_limit != BodyLimit::default() {
        said.push(limit(*body_limit));
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
        said.push(tries(retry));
    }
    if said.is_empty() {
        return "the defaults".to_owned();
    }
    said.join("; ")
}

fn tries(retry: &Retry) -> String {
    let Retry {
        error,
        timeout,
        invalid_header,
        statuses,
        non_idempotent,
        tries,
        within,
    } = retry;
    let words = [
        (*error, "error"),
        (*timeout, "timeout"),
        (*invalid_header, "invalid_header"),
        (*non_idempotent, "non_idempotent"),
    ];
    let words = words.into_iter().filter(|(asked, _)| *asked);
    let words = words.map(|(_, word)| word.to_owned());
    let statuses = statuses.iter().map(|status| format!("http_{status}"));
    let words: Vec<_> = words.chain(statuses).collect();
    if words.is_empty() {
        return "proxy-next-upstream: off".to_owned();
    }
    let mut said = format!("proxy-next-upstream: {}", words.join(" "));
    match tries {
        Some(tries) => said.push_str(&format!(", {tries} tries")),
        None => said.push_str(", a try per endpoint"),
    }
    if let Some(within) = within {
        said.push_str(&format!(", within {within:?}"));
    }
    said
}

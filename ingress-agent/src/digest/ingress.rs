//! Ingress (networking.k8s.io/v1).

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress as ApiIngress, IngressRule, IngressSpec, IngressTLS,
};

use super::annotation::{self, Annotations};
use super::{Cause, Fault, keep, object};
use crate::model::{Host, ObjectRef, PathMatch};

mod target;

pub use target::Target;

/// Takes precedence over `spec.ingressClassName` when it is set (`IngressSpec.ingressClassName`).
const LEGACY_CLASS: &str = "kubernetes.io/ingress.class";

/// An Ingress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ingress {
    /// Its name.
    pub object: ObjectRef,
    /// The class it names, by annotation or by field.
    pub class: Option<Arc<str>>,
    /// Its rules, without those that could not be read.
    pub rules: Vec<Rule>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<Target>,
    /// `spec.tls`.
    pub tls: Vec<Tls>,
    /// What its annotations ask for.
    pub annotations: Annotations,
    /// What of it could not be read.
    pub faults: Vec<Fault>,
}

/// A rule: a host and its paths.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its index in `spec.rules`.
    pub index: usize,
    /// `host`.
    pub host: Host,
    /// `http.paths` without those that could not be read; empty: the default backend serves the host.
    pub paths: Vec<Path>,
}

/// A path and what serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    /// Its index in `http.paths`.
    pub index: usize,
    /// `path` with `pathType`.
    pub path: PathMatch,
    /// `backend`.
    pub target: Target,
}

/// An entry of `spec.tls`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Its index in `spec.tls`.
    pub index: usize,
    /// `hosts` without those that could not be read.
    pub hosts: Vec<Host>,
    /// `secretName`, in the Ingress's own namespace.
    pub secret: Option<Arc<str>>,
}

/// Turns an Ingress into its value.
pub fn digest(ingress: ApiIngress, previous: Option<&Arc<Ingress>>) -> Arc<Ingress> {
    let ApiIngress {
        metadata,
        spec,
        status: _,
    } = ingress;
    let IngressSpec {
        default_backend,
        ingress_class_name,
        rules,
        tls,
    } = spec.unwrap_or_default();
    let mut faults = Vec::new();
    let rules = rules.unwrap_or_default();
    if rules.is_empty() && default_backend.is_none() {
        faults.push(
            Fault::refused(Cause::IngressEmpty, "spec")
                .found("neither `rules` nor `defaultBackend`")
                .expected("at least one of them")
                .so("the Ingress routes nothing")
                .change("add a rule or a default backend"),
        );
    }
    let annotations = metadata.annotations.as_ref();
    let legacy = annotations
        .and_then(|all| all.get(LEGACY_CLASS))
        .filter(|class| !class.is_empty());
    let class = legacy.cloned().or(ingress_class_name).map(Arc::from);
    let object = object("Ingress", &metadata);
    let ingress = Ingress {
        class,
        default_backend: default_backend
            .map(|backend| Target::parse(backend, "spec.defaultBackend", &mut faults)),
        rules: each(rules, |index, entry| rule(index, entry, &mut faults)),
        tls: each(tls.unwrap_or_default(), |index, entry| {
            Some(tls_entry(index, entry, &mut faults))
        }),
        annotations: annotations.map_or_else(Annotations::default, |all| {
            annotation::read(all, &object, &mut faults)
        }),
        object,
        faults,
    };
    keep(ingress, previous)
}

fn each<T, U>(entries: Vec<T>, read: impl FnMut(usize, T) -> Option<U>) -> Vec<U> {
    let mut read = read;
    let read = |(index, entry)| read(index, entry);
    entries.into_iter().enumerate().filter_map(read).collect()
}

fn rule(index: usize, rule: IngressRule, faults: &mut Vec<Fault>) -> Option<Rule> {
    let IngressRule { host, http } = rule;
    let field = format!("spec.rules[{index}]");
    let host = read_host(
        host.as_deref().unwrap_or_default(),
        || format!("{field}.host"),
        "the rule is not served",
        faults,
    )?;
    // A rule without `http` leaves its host to the default backend; one with no paths is no rule.
    let paths = match http {
        None => Vec::new(),
        Some(HTTPIngressRuleValue { paths }) if paths.is_empty() => {
            faults.push(
                Fault::refused(Cause::PathsEmpty, format!("{field}.http.paths"))
                    .found("no paths")
                    .expected("at least one path, or no `http` at all")
                    .so("the rule is not served")
                    .change("add a path, or remove `http` to give the host to the default backend"),
            );
            return None;
        }
        Some(HTTPIngressRuleValue { paths }) => {
            let paths = each(paths, |index, entry| path(&field, index, entry, faults));
            if paths.is_empty() {
                return None;
            }
            paths
        }
    };
    Some(Rule { index, host, paths })
}

fn path(rule: &str, index: usize, path: HTTPIngressPath, faults: &mut Vec<Fault>) -> Option<Path> {
    let HTTPIngressPath {
        backend,
        path,
        path_type,
    } = path;
    let field = format!("{rule}.http.paths[{index}]");
    let make: fn(&str) -> PathMatch = match path_type.as_str() {
        "Exact" => PathMatch::exact,
        "Prefix" | "ImplementationSpecific" => PathMatch::prefix,
        other => {
            faults.push(
                Fault::refused(Cause::PathType, format!("{field}.pathType"))
                    .found(format!("`{other}`"))
                    .expected("`Exact`, `Prefix` or `ImplementationSpecific`")
                    .so("the path is not served")
                    .change("write one of the three path types"),
            );
            return None;
        }
    };
    // Only an ImplementationSpecific path may be left out (`HTTPIngressPath.path`).
    let text = match path {
        Some(text) if !text.is_empty() => text,
        Some(_) | None if path_type == "ImplementationSpecific" => "/".to_owned(),
        Some(_) | None => String::new(),
    };
    if let Some(expected) = why_not_a_path(&text) {
        faults.push(
            Fault::refused(Cause::Path, format!("{field}.path"))
                .found(format!("`{}`", text.escape_debug()))
                .expected(expected)
                .so("the path is not served")
                .change("write the path as a request carries it, from its first slash"),
        );
        return None;
    }
    if path_type == "ImplementationSpecific" && looks_like_a_pattern(&text) {
        faults.push(
            Fault::degraded(Cause::PathPattern, format!("{field}.path"))
                .found(format!("`{text}`, which looks like a regular expression"))
                .expected("a path: it is taken literally, as a prefix")
                .so("no request is likely to match it")
                .change("write the path that requests carry"),
        );
    }
    Some(Path {
        index,
        path: make(&text),
        target: Target::parse(backend, &format!("{field}.backend"), faults),
    })
}

/// What the API server refuses in a path, and what no request can carry.
fn why_not_a_path(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    if !path.starts_with('/') {
        Some("a path that begins with `/`")
    } else if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Some("a path without spaces and control characters")
    } else if ["//", "/./", "/../", "%2f"]
        .iter()
        .any(|part| lower.contains(part))
    {
        Some("a path without `//`, `/./`, `/../` and `%2f`")
    } else if path.ends_with("/.") || path.ends_with("/..") {
        Some("a path that does not end in `/.` or `/..`")
    } else {
        None
    }
}

/// As ingress-nginx takes them under `use-regex` and `rewrite-target`.
fn looks_like_a_pattern(path: &str) -> bool {
    path.contains(['(', '[', '^', '|', '\\']) || path.contains(".*") || path.ends_with('$')
}

fn tls_entry(index: usize, tls: IngressTLS, faults: &mut Vec<Fault>) -> Tls {
    let IngressTLS { hosts, secret_name } = tls;
    let hosts = each(hosts.unwrap_or_default(), |position, host| {
        let field = || format!("spec.tls[{index}].hosts[{position}]");
        read_host(&host, field, "no certificate is chosen by it", faults)
    });
    Tls {
        index,
        hosts,
        secret: secret_name.filter(|name| !name.is_empty()).map(Arc::from),
    }
}

fn read_host(
    text: &str,
    field: impl FnOnce() -> String,
    consequence: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<Host> {
    match Host::parse(text) {
        Ok(host) => Some(host),
        Err(error) => {
            faults.push(
                Fault::refused(Cause::Host, field())
                    .found(format!("`{}` ({error})", text.escape_debug()))
                    .expected("a DNS name such as `shop.example.com` or `*.example.com`")
                    .so(consequence)
                    .change("correct the host name"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;

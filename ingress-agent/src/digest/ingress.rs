//! Ingress (networking.k8s.io/v1).

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{
    HTTPIngressRuleValue, Ingress as ApiIngress, IngressRule, IngressSpec, IngressTLS,
};

use super::annotation::{self, Annotations, Protection};
use super::{Cause, Fault, fitted, keep, object};
use crate::model::{Host, ObjectRef};

mod path;
mod target;

pub use path::Path;
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
    /// It names the class by annotation.
    pub class_annotated: bool,
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
    /// It has paths, none of which could be read: it stands here only to close its host.
    pub refused: bool,
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
    let class_annotated = legacy.is_some();
    let class = legacy.cloned().or(ingress_class_name).map(Arc::from);
    let object = object("Ingress", &metadata);
    let annotations = annotations.map_or_else(Annotations::default, |all| {
        annotation::read(all, &object, &mut faults)
    });
    // What closes a host closes it also with a path that cannot be read.
    let closes = annotations.protection == Protection::HostsClosed;
    let ingress = Ingress {
        class,
        class_annotated,
        default_backend: default_backend
            .map(|backend| Target::parse(backend, "spec.defaultBackend", &mut faults)),
        rules: each(rules, |index, entry| {
            rule(index, entry, &mut faults).filter(|rule| closes || !rule.refused)
        }),
        tls: each(tls.unwrap_or_default(), |index, entry| {
            Some(tls_entry(index, entry, &mut faults))
        }),
        annotations,
        object,
        faults,
    };
    keep(ingress, previous)
}

fn each<T, U>(entries: Vec<T>, read: impl FnMut(usize, T) -> Option<U>) -> Vec<U> {
    let mut read = read;
    let read = |(index, entry)| read(index, entry);
    fitted(entries.into_iter().enumerate().filter_map(read))
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
    let mut refused = false;
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
            refused = true;
            Vec::new()
        }
        Some(HTTPIngressRuleValue { paths }) => {
            let paths = each(paths, |index, entry| Path::parse(&field, index, entry, faults));
            refused = paths.is_empty();
            paths
        }
    };
    Some(Rule {
        index,
        host,
        paths,
        refused,
    })
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

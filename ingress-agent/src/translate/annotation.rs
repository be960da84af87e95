//! Annotations, as a table: what protects a route fails closed.
//!
//! None is honoured yet. A name that protects (who may come, how much, through which filter) or that
//! changes which path is served where makes its Ingress's routes answer 503; any other is served without
//! it; each is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::Fault;

/// What an Ingress's annotations leave of its routes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protection {
    /// They are served.
    None,
    /// They ask for protection that is not there: 503.
    Unhonoured,
    /// It gives no routes of its own.
    NoRoutes,
}

const PREFIXES: [&str; 2] = ["nginx.ingress.kubernetes.io/", "ingress-agent.dev/"];

/// Names that protect or that change the path; those that end in `*` stand for all that begin so.
const CLOSED: [&str; 24] = [
    "allowlist-source-range",
    "app-root",
    "auth-*",
    "*-snippet",
    "denylist-source-range",
    "enable-global-auth",
    "enable-modsecurity",
    "enable-owasp-*",
    "from-to-www-redirect",
    "global-rate-limit*",
    "limit-*",
    "modsecurity-*",
    "permanent-redirect*",
    "proxy-ssl-*",
    "rewrite-target",
    "satisfy",
    "secure-*",
    "server-alias",
    "ssl-passthrough",
    "temporal-redirect*",
    "use-regex",
    "whitelist-*",
    "block-*",
    "backend-protocol",
];

/// Values with which a name of the table asks for nothing.
const OFF: [(&str, &[&str]); 6] = [
    ("backend-protocol", &["HTTP", "http"]),
    ("enable-modsecurity", &["false"]),
    ("from-to-www-redirect", &["false"]),
    ("satisfy", &["all"]),
    ("ssl-passthrough", &["false"]),
    ("use-regex", &["false"]),
];

/// What the annotations leave of the Ingress's routes.
pub(super) fn protection(annotations: &BTreeMap<Arc<str>, Arc<str>>) -> Protection {
    let mut left = Protection::None;
    for (name, value) in names(annotations) {
        if is_canary(name, value) {
            return Protection::NoRoutes;
        }
        if is_closed(name, value) {
            left = Protection::Unhonoured;
        }
    }
    left
}

/// What its author should know of each.
pub(super) fn judge(annotations: &BTreeMap<Arc<str>, Arc<str>>) -> impl Iterator<Item = Fault> {
    names(annotations)
        .filter(|(name, value)| !is_off(name, value))
        .map(|(name, value)| {
            let prefix = annotations
                .keys()
                .find_map(|key| key.strip_suffix(name))
                .unwrap_or_default();
            let field = format!("metadata.annotations[{prefix}{name}]");
            let told = if is_canary(name, value) {
                Fault::refused("annotation-canary", field).so("the Ingress routes nothing")
            } else if is_closed(name, value) {
                Fault::refused("annotation-closed", field)
                    .so("the Ingress's routes answer 503 rather than go without it")
            } else {
                Fault::degraded("annotation-ignored", field).so("requests are served without it")
            };
            told.found("an annotation that is not honoured yet")
                .expected("none, or one that is honoured")
                .change("remove the annotation if the Ingress can do without it")
        })
}

fn names(annotations: &BTreeMap<Arc<str>, Arc<str>>) -> impl Iterator<Item = (&str, &str)> {
    annotations.iter().filter_map(|(key, value)| {
        let name = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))?;
        Some((name, value.trim()))
    })
}

fn is_canary(name: &str, value: &str) -> bool {
    name == "canary" && value != "false"
}

fn is_closed(name: &str, value: &str) -> bool {
    let listed = CLOSED.iter().any(
        |listed| match (listed.strip_prefix('*'), listed.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(start)) => name.starts_with(start),
            (None, None) => name == *listed,
        },
    );
    listed && !is_off(name, value)
}

fn is_off(name: &str, value: &str) -> bool {
    value.is_empty()
        || OFF
            .iter()
            .any(|(listed, values)| name == *listed && values.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(name: &str, value: &str) -> BTreeMap<Arc<str>, Arc<str>> {
        BTreeMap::from([(
            Arc::from(format!("nginx.ingress.kubernetes.io/{name}")),
            Arc::from(value),
        )])
    }

    #[test]
    fn what_protects_or_moves_paths_closes() {
        for (name, value, expected) in [
            ("auth-type", "basic", Protection::Unhonoured),
            ("auth-tls-secret", "a/b", Protection::Unhonoured),
            ("whitelist-source-range", "10.0.0.0/8", Protection::Unhonoured),
            ("limit-rps", "1", Protection::Unhonoured),
            ("configuration-snippet", "deny all;", Protection::Unhonoured),
            ("enable-owasp-core-rules", "true", Protection::Unhonoured),
            ("rewrite-target", "/$1", Protection::Unhonoured),
            ("permanent-redirect-code", "308", Protection::Unhonoured),
            ("use-regex", "false", Protection::None),
            ("backend-protocol", "HTTP", Protection::None),
            ("backend-protocol", "GRPC", Protection::Unhonoured),
            ("canary", "true", Protection::NoRoutes),
            ("canary", "false", Protection::None),
            ("proxy-body-size", "8m", Protection::None),
            ("auth-url", "", Protection::None),
        ] {
            assert_eq!(protection(&annotated(name, value)), expected, "{name}: {value}");
        }
    }

    #[test]
    fn each_is_told_once() {
        let causes = |name, value| {
            judge(&annotated(name, value))
                .map(|fault| fault.cause)
                .collect::<Vec<_>>()
        };
        assert_eq!(causes("auth-type", "basic"), ["annotation-closed"]);
        assert_eq!(causes("proxy-body-size", "8m"), ["annotation-ignored"]);
        assert_eq!(causes("canary", "true"), ["annotation-canary"]);
        assert_eq!(causes("use-regex", "false"), [""; 0]);
    }
}

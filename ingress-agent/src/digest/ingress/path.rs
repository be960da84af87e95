//! A path of an Ingress's rule: `HTTPIngressPath`.

use k8s_openapi::api::networking::v1::HTTPIngressPath;

use super::Target;
use crate::digest::{Cause, Fault};
use crate::model::PathMatch;
use crate::model::path::{NotCanonical, canonical};

/// The path type that means what its class's controller says.
const SPECIFIC: &str = "ImplementationSpecific";

/// A path and what serves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path {
    /// Its index in `http.paths`.
    pub index: usize,
    /// `path` with `pathType`, of which `ImplementationSpecific` is Prefix in our own classes.
    pub path: PathMatch,
    /// The same as ingress-nginx takes it, where that is another: of `ImplementationSpecific`.
    pub nginx: Option<PathMatch>,
    /// `backend`.
    pub target: Target,
}

impl Path {
    /// Reads a path that stands in the rule of that field.
    pub(super) fn parse(
        rule: &str,
        index: usize,
        path: HTTPIngressPath,
        faults: &mut Vec<Fault>,
    ) -> Option<Self> {
        let HTTPIngressPath {
            backend,
            path,
            path_type,
        } = path;
        let field = format!("{rule}.http.paths[{index}]");
        let specific = path_type == SPECIFIC;
        let make: fn(&str) -> PathMatch = match path_type.as_str() {
            "Exact" => PathMatch::exact,
            "Prefix" | SPECIFIC => PathMatch::prefix,
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
            Some(_) | None if specific => "/".to_owned(),
            Some(_) | None => String::new(),
        };
        let pattern = specific && looks_like_a_pattern(&text);
        let text = match as_requested(&text, pattern) {
            Ok(text) => text,
            Err(expected) => {
                faults.push(
                    Fault::refused(Cause::Path, format!("{field}.path"))
                        .found(format!("`{}`", text.escape_debug()))
                        .expected(expected)
                        .so("the path is not served")
                        .change("write the path as a request carries it, from its first slash"),
                );
                return None;
            }
        };
        if pattern {
            faults.push(
                Fault::degraded(Cause::PathPattern, format!("{field}.path"))
                    .found(format!("`{text}`, which looks like a regular expression"))
                    .expected("a path: it is taken literally, as a prefix")
                    .so("no request is likely to match it")
                    .change("write the path that requests carry"),
            );
        }
        let path = make(&text);
        let nginx = specific.then(|| PathMatch::string_prefix(&text));
        Some(Self {
            index,
            nginx: nginx.filter(|nginx| *nginx != path),
            path,
            target: Target::parse(backend, &format!("{field}.backend"), faults),
        })
    }
}

/// The path in the form in which requests are compared with it, so that `/café` is what a browser asks for and
/// no spelling of a path goes past the rule that protects it; or what should stand there instead. A pattern may
/// have what no path has: it stays as it is.
fn as_requested(path: &str, pattern: bool) -> Result<String, &'static str> {
    if let Some(expected) = why_not_a_path(path, pattern) {
        return Err(expected);
    }
    let mut ascii = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii() {
            ascii.push(char::from(byte));
        } else {
            ascii.push_str(&format!("%{byte:02X}"));
        }
    }
    match canonical(&ascii) {
        Ok(path) => Ok(path.into_owned()),
        Err(NotCanonical) if pattern => Ok(ascii),
        Err(NotCanonical) => {
            Err("a path without `\\`, and with two hexadecimal digits, not `00`, after each `%`")
        }
    }
}

/// What the API server refuses in a path, and what no request can carry.
fn why_not_a_path(path: &str, pattern: bool) -> Option<&'static str> {
    // An escaped dot is a dot (RFC 3986 section 2.3).
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    if !path.starts_with('/') {
        Some("a path that begins with `/`")
    } else if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Some("a path without spaces and control characters")
    } else if path.contains(['?', '#']) && !pattern {
        Some("a path without `?` and `#`: neither is part of a request's path")
    } else if ["//", "/./", "/../", "%2f"]
        .iter()
        .any(|part| lower.contains(part))
    {
        Some("a path without `//`, `/./`, `/../` and `%2f`")
    } else if lower.ends_with("/.") || lower.ends_with("/..") {
        Some("a path that does not end in `/.` or `/..`")
    } else {
        None
    }
}

/// As ingress-nginx takes them under `use-regex` and `rewrite-target`.
fn looks_like_a_pattern(path: &str) -> bool {
    path.contains(['(', '[', '^', '|', '\\']) || path.contains(".*") || path.ends_with('$')
}

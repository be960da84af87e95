//! The table of boundaries: which part may name which crates, and which other parts.

use super::path::{paths, words};
use super::{Breach, Source};

/// A part of the project and what it may name. Tests are free.
struct Rule {
    /// A path prefix: a file without `.rs`, so that it covers `foo.rs` and `foo/`.
    place: &'static str,
    /// Crates it may never name.
    never: &'static [&'static str],
    /// If set, the only crates it may name.
    only: Option<&'static [&'static str]>,
    /// Modules of its own crate that it may never name.
    apart: &'static [&'static str],
}

const STANDARD: [&str; 3] = ["std", "core", "alloc"];

const RULES: &[Rule] = &[
    Rule {
        place: "ingress-common/src/",
        never: &["std", "alloc"],
        only: Some(&["core", "bytemuck", "aya"]),
        apart: &[],
    },
    Rule {
        place: "ingress-agent/src/model",
        never: &[],
        only: Some(&["std", "core", "http", "regex", "thiserror"]),
        apart: &[
            "app",
            "cluster",
            "config",
            "digest",
            "proxy",
            "source",
            "translate",
            "xdp",
        ],
    },
    Rule {
        place: "ingress-agent/src/digest",
        never: &[
            "aya",
            "hyper",
            "hyper_util",
            "tokio",
            "tokio_rustls",
            "notify",
            "rtnetlink",
        ],
        only: None,
        apart: &["app", "cluster", "config", "proxy", "source", "translate", "xdp"],
    },
    Rule {
        place: "ingress-agent/src/translate",
        never: &[
            "kube",
            "k8s_openapi",
            "aya",
            "hyper",
            "hyper_util",
            "tokio",
            "tokio_rustls",
            "futures",
            "notify",
            "rtnetlink",
        ],
        only: None,
        apart: &["app", "cluster", "config", "proxy", "source", "xdp"],
    },
    Rule {
        place: "ingress-agent/src/explain",
        never: &[
            "kube",
            "k8s_openapi",
            "aya",
            "hyper",
            "hyper_util",
            "rustls",
            "tokio",
            "tokio_rustls",
            "futures",
            "notify",
            "rtnetlink",
        ],
        only: None,
        apart: &["app", "cluster", "config", "source", "xdp"],
    },
    Rule {
        place: "ingress-agent/src/source",
        never: &[
            "aya",
            "hyper",
            "hyper_util",
            "rustls",
            "tokio_rustls",
            "rtnetlink",
        ],
        only: None,
        apart: &["app", "config", "proxy", "xdp"],
    },
    Rule {
        place: "ingress-agent/src/cluster",
        never: &[
            "aya",
            "aya_obj",
            "hyper",
            "hyper_util",
            "rustls",
            "tokio_rustls",
            "rtnetlink",
            "netlink_packet_route",
        ],
        only: None,
        apart: &["app", "config", "proxy", "source", "xdp"],
    },
    Rule {
        place: "ingress-agent/src/xdp",
        never: &[
            "kube",
            "k8s_openapi",
            "hyper",
            "hyper_util",
            "rustls",
            "tokio_rustls",
        ],
        only: None,
        apart: &[
            "app",
            "cluster",
            "config",
            "digest",
            "proxy",
            "source",
            "translate",
        ],
    },
    Rule {
        place: "ingress-agent/src/proxy",
        never: &[
            "kube",
            "k8s_openapi",
            "aya",
            "aya_obj",
            "rtnetlink",
            "netlink_packet_route",
        ],
        only: None,
        apart: &["app", "cluster", "config", "digest", "source", "translate", "xdp"],
    },
];

/// The files of the crate `ingress-ebpf` that are its binary, the only ones that may name aya.
const EBPF_BINARY: [&str; 5] = [
    "ingress-ebpf/src/main",
    "ingress-ebpf/src/maps",
    "ingress-ebpf/src/frame",
    "ingress-ebpf/src/sockets",
    "ingress-ebpf/src/stack",
];
/// The file of its library that may hold `unsafe`.
const EBPF_CURSOR: &str = "ingress-ebpf/src/cursor";

/// Breaches of the table in one file.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for rule in RULES.iter().filter(|rule| covers(rule.place, &source.path)) {
        for (line, path) in paths(source) {
            breaches.extend(judge(rule, &path).map(|what| Breach::new(source, line, what)));
        }
    }
    breaches.extend(ebpf_library(source));
    breaches
}

/// What a rule has against a path.
fn judge(rule: &Rule, path: &[String]) -> Option<String> {
    let place = rule
        .place
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(rule.place);
    let mut segments = path.iter().map(String::as_str);
    let first = segments.next()?;
    if first == "crate" {
        let module = segments.next()?;
        return rule
            .apart
            .contains(&module)
            .then(|| format!("`{place}` may not name `crate::{module}`"));
    }
    let is_crate = KNOWN.contains(&first) || STANDARD.contains(&first);
    let refused =
        rule.never.contains(&first) || rule.only.is_some_and(|only| is_crate && !only.contains(&first));
    refused.then(|| format!("`{place}` may not name the crate `{first}`"))
}

/// The library of `ingress-ebpf` knows no aya, and keeps `unsafe` in one file.
fn ebpf_library(source: &Source) -> Vec<Breach> {
    let is_binary = EBPF_BINARY.iter().any(|binary| covers(binary, &source.path))
        || source.path.starts_with("ingress-ebpf/src/bin/");
    if !source.path.starts_with("ingress-ebpf/src/") || is_binary {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (line, path) in paths(source) {
        if let Some(aya) = path.first().filter(|name| name.starts_with("aya")) {
            breaches.push(Breach::new(
                source,
                line,
                format!("the library may not name the crate `{aya}`"),
            ));
        }
    }
    if !covers(EBPF_CURSOR, &source.path) {
        for (line, code) in source.shipped() {
            let has_unsafe = words(code).any(|word| word == "unsafe");
            if has_unsafe && !code.contains("unsafe_") {
                breaches.push(Breach::new(
                    source,
                    line,
                    "the library keeps `unsafe` in cursor.rs",
                ));
            }
        }
    }
    breaches
}

/// Whether a file belongs to a place.
fn covers(place: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(place) else {
        return false;
    };
    place.ends_with('/') || rest == ".rs" || rest.starts_with('/')
}

/// Crates that the project depends on, as a path names them; a name that is not here is a local module's.
const KNOWN: &[&str] = &[
    "anyhow",
    "arc_swap",
    "aya",
    "aya_ebpf",
    "aya_log",
    "aya_log_ebpf",
    "aya_obj",
    "bytemuck",
    "bytes",
    "clap",
    "futures",
    "http",
    "http_body",
    "http_body_util",
    "humantime",
    "hyper",
    "hyper_util",
    "ingress_common",
    "ingress_ebpf",
    "ipnet",
    "k8s_openapi",
    "kube",
    "libc",
    "log",
    "mimalloc",
    "netlink_packet_route",
    "notify",
    "rcgen",
    "regex",
    "rtnetlink",
    "rustix",
    "rustls",
    "rustls_pki_types",
    "schemars",
    "serde",
    "serde_json",
    "serde_saphyr",
    "sha2",
    "socket2",
    "thiserror",
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "tracing",
    "tracing_subscriber",
    "x509_parser",
];

//! K8-1 and K8-2 of `spec/safety.md`: every registered annotation, under either prefix, with every sort of
//! value, and what becomes of its own routes and of everybody else's.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ingress_agent::digest::Ingress;
use ingress_agent::model::{Action, Route};
use ingress_agent::translate::{Snapshot, translate};
use serde_json::{Value, json};

use crate::folder::site;
use crate::memory::{base, entry, ingress, ingress_in, path};

const PREFIXES: [&str; 2] = ["nginx.ingress.kubernetes.io/", "ingress-agent.dev/"];

/// What the table makes of an annotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Honoured,
    Cosmetic,
    Closed,
    Host,
    Canary,
}

/// The table, as its source says it.
fn table() -> Vec<(String, Class)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/digest/annotation/table.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let (_, rows) = source.split_once("TABLE: [Row; 136] = [").unwrap();
    let rows = rows.lines().filter_map(|row| {
        let (class, rest) = row.trim().split_once(['(', ' '])?;
        let class = match class {
            "honoured" => Class::Honoured,
            "cosmetic" => Class::Cosmetic,
            "closed" => Class::Closed,
            "host" => Class::Host,
            "name:" => Class::Canary,
            _ => return None,
        };
        Some((rest.split('"').nth(1)?.to_owned(), class))
    });
    rows.collect()
}

/// Routes by the Ingress they come from, to the last byte.
type Facts = BTreeMap<String, Vec<String>>;

fn facts(snapshot: &Snapshot) -> (Facts, Vec<Arc<Route>>) {
    let (model, _) = translate(snapshot);
    let mut facts = Facts::new();
    let mut own = Vec::new();
    let site = site(&model);
    let hosts = site
        .hosts
        .iter()
        .flat_map(|(host, found)| found.routes.iter().map(move |route| (host.to_string(), route)));
    let default = site.default.iter().map(|route| ("default".to_owned(), route));
    for (host, route) in hosts.chain(default) {
        if &*route.origin.name == "subject" {
            own.push(Arc::clone(route));
        }
        let of = facts.entry(route.origin.to_string()).or_default();
        of.push(format!("{host} {route:?}"));
    }
    (facts, own)
}

fn rule(host: &str, at: &str) -> Value {
    json!({"rules": [{"host": host, "http": {"paths": [path(at, "s")]}}]})
}

/// The subject, and who could suffer from it: a neighbour on its host, and strangers.
fn world(annotations: &Value) -> Snapshot {
    let none = json!({});
    let mut default = rule("a.test", "/default");
    default["defaultBackend"] = path("/", "s")["backend"].clone();
    let ingresses: [Arc<Ingress>; 5] = [
        ingress("subject", annotations, rule("a.test", "/subject")),
        ingress("neighbour", &none, rule("a.test", "/near")),
        ingress("apart", &none, rule("b.test", "/")),
        ingress_in("other", "stranger", &none, rule("a.test", "/theirs")),
        ingress_in("other", "default", &none, default),
    ];
    Snapshot {
        ingresses: ingresses
            .iter()
            .enumerate()
            .map(|(at, one)| entry(at, one))
            .collect(),
        ..base()
    }
}

fn refused(routes: &[Arc<Route>]) -> bool {
    !routes.is_empty() && routes.iter().all(|route| matches!(route.action, Action::Refuse))
}

/// That an annotation does to its own Ingress what its class says, and nothing to those it may not reach.
#[track_caller]
fn assert_reach(annotations: &Value, class: Class, untouched: &Facts, word: &str) {
    let (mut facts, own) = facts(&world(annotations));
    let mut untouched = untouched.clone();
    match class {
        Class::Honoured => {}
        Class::Cosmetic => assert_eq!(
            facts.get("Ingress default/subject"),
            untouched.get("Ingress default/subject"),
            "{word}"
        ),
        Class::Closed | Class::Host => assert!(refused(&own), "{word}"),
        Class::Canary => assert!(own.is_empty(), "{word}"),
    }
    if class == Class::Host {
        let near = facts.remove("Ingress default/neighbour").unwrap().concat();
        assert!(near.contains("Refuse"), "{word}");
        untouched.remove("Ingress default/neighbour");
    }
    facts.remove("Ingress default/subject");
    untouched.remove("Ingress default/subject");
    assert_eq!(facts, untouched, "{word}");
}

#[test]
fn every_annotation_reaches_its_own_routes_and_its_namespaces_hosts_at_most() {
    let table = table();
    assert_eq!(table.len(), 136);
    let (untouched, own) = facts(&world(&json!({})));
    assert_eq!((untouched.len(), own.len()), (5, 1));
    let megabyte = "x".repeat(1 << 20);
    let values = [
        "yes",
        "a\rb",
        "a\n}b",
        "a\0b",
        "\"",
        "'; return 200 x; #",
        "${}",
        "https://evil.test/$1",
        "../../etc/passwd",
        &megabyte,
    ];
    let aliases = ["whitelist-source-range", "limit-whitelist"];
    let aliases = aliases.map(|alias| (alias.to_owned(), Class::Closed));
    for (name, class) in table.into_iter().chain(aliases) {
        for prefix in PREFIXES {
            for empty in ["", " \n"] {
                let (facts, _) = facts(&world(&json!({format!("{prefix}{name}"): empty})));
                assert_eq!(facts, untouched, "{name}: {empty:?}");
            }
            for value in values {
                // The longest value once.
                if value.len() > 1000 && prefix != PREFIXES[0] {
                    continue;
                }
                let shown = &value[..value.len().min(20)];
                let word = format!("{prefix}{name}: {shown:?}");
                assert_reach(
                    &json!({format!("{prefix}{name}"): value}),
                    class,
                    &untouched,
                    &word,
                );
            }
        }
        // A protective name in capitals is a near miss that closes.
        if matches!(class, Class::Closed | Class::Host) {
            let capitals = format!("{}{}", PREFIXES[0], name.to_ascii_uppercase());
            assert_reach(&json!({ &capitals: "x" }), Class::Closed, &untouched, &capitals);
        }
    }
}

#[test]
fn a_protocol_or_a_variable_that_is_not_spoken_closes_its_own_routes() {
    let (untouched, _) = facts(&world(&json!({})));
    for (name, value) in [
        ("backend-protocol", "GRPC"),
        ("backend-protocol", "grpcs"),
        ("backend-protocol", "FCGI"),
        ("backend-protocol", "AUTO_HTTP"),
        ("upstream-vhost", "$http_x"),
    ] {
        let annotations = json!({format!("{}{name}", PREFIXES[0]): value});
        assert_reach(&annotations, Class::Closed, &untouched, value);
    }
}

#[test]
fn an_unknown_annotation_reaches_nothing() {
    let (untouched, _) = facts(&world(&json!({})));
    for name in ["enable-websockets", "proxy-body-sise", "x", ""] {
        let annotations = json!({format!("{}{name}", PREFIXES[0]): "true"});
        assert_reach(&annotations, Class::Cosmetic, &untouched, name);
    }
}

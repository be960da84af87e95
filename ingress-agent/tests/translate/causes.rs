//! The causes of faults: each has a manifest of the corpus or a test of its own, its words stand in one place,
//! and they say all that is asked of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ingress_agent::check;
use ingress_agent::digest::Cause;

use crate::corpus::{checked, corpus, here};
use crate::folder::{BASE, folder};

/// Causes that no manifest beside a base can have, or not in words that stay: the file and the test that each
/// has instead.
const ELSEWHERE: [(Cause, &str, &str); 7] = [
    (
        Cause::FileEmpty,
        "watching.rs",
        "an_emptied_file_keeps_its_objects_until_it_is_deleted",
    ),
    (
        Cause::NodeLease,
        "../../src/digest/lease/tests.rs",
        "what_cannot_be_read_makes_no_member",
    ),
    (Cause::Nodes, "causes.rs", "a_nodes_file_that_describes_no_fleet"),
    (
        Cause::PoolNodeAddress,
        "vips.rs",
        "what_a_pool_cannot_hand_out_is_told",
    ),
    (
        Cause::SecretUnreadable,
        "../apiserver/rights.rs",
        "a_secret_that_it_may_not_read_harms_its_own_hosts_only",
    ),
    (
        Cause::TlsEarly,
        "certificates.rs",
        "a_certificate_that_is_not_valid_yet_is_shown_and_told",
    ),
    (
        Cause::TlsExpired,
        "certificates.rs",
        "an_expired_certificate_is_shown_and_told",
    ),
];

/// The text of a test's body.
fn body<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("fn {name}() {{"))?;
    rest.split("\n}\n").next()
}

#[test]
fn every_cause_has_a_manifest_or_a_test() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for manifest in corpus().values() {
        let document: serde_json::Value = serde_json::from_str(&checked(manifest, true)).unwrap();
        for object in document["objects"].as_array().unwrap() {
            for finding in object["findings"].as_array().unwrap() {
                *seen
                    .entry(finding["cause"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    let missing = Cause::ALL.iter().filter(|cause| !seen.contains_key(cause.name()));
    let missing: BTreeSet<_> = missing.copied().collect();
    let elsewhere: BTreeSet<_> = ELSEWHERE.iter().map(|(cause, ..)| *cause).collect();
    assert_eq!(missing, elsewhere, "the causes without a manifest");
    for (cause, file, test) in ELSEWHERE {
        let path = here().join("tests/translate").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let body = body(&text, test).unwrap_or_else(|| panic!("no test {test} in {file}"));
        assert!(body.contains(cause.name()), "{test} names no `{cause}`");
    }
}

#[test]
fn every_finding_of_the_corpus_says_all_that_is_asked_of_it() {
    for (name, manifest) in corpus() {
        let document: serde_json::Value = serde_json::from_str(&checked(&manifest, true)).unwrap();
        for object in document["objects"].as_array().unwrap() {
            for finding in object["findings"].as_array().unwrap() {
                for key in ["cause", "found", "expected", "consequence", "change"] {
                    assert_ne!(finding[key], "", "{name}: {finding}");
                }
            }
        }
    }
}

/// The sources' text without their tests.
fn sources(dir: &Path, text: &mut String) {
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if !path.ends_with("tests.rs") && !path.ends_with("cause.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
}

#[test]
fn the_words_of_a_cause_stand_in_one_place() {
    let mut text = String::new();
    for part in ["digest", "translate", "source"] {
        sources(&here().join("src").join(part), &mut text);
    }
    for cause in Cause::ALL {
        let name = format!("Cause::{cause:?}");
        let uses = text.match_indices(&name).map(|(at, _)| text.split_at(at));
        let uses = uses.filter(|(before, found)| {
            let is_longer = found[name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric());
            // Who compares says nothing.
            !is_longer && !before.ends_with("== ")
        });
        assert_eq!(uses.count(), 1, "{name}");
    }
}

/// Half a fleet would move flows: the file is taken whole or not at all.
#[test]
fn a_nodes_file_that_describes_no_fleet() {
    for (nodes, field, words) in [
        ("nodes: []", "nodes", "list the nodes"),
        (
            "nodes: [{name: a, number: 1, addresses: [192.0.2.1]}, {name: b, number: 2, addresses: [192.0.2.2]}]",
            "secret",
            "openssl rand -hex 32",
        ),
        (
            "nodes: [{name: a, number: 4096, addresses: [192.0.2.1]}]",
            "nodes[0].number",
            "4095",
        ),
        (
            "nodes: [{name: a, number: 1, addresses: [192.0.2.1, 192.0.2.1]}]",
            "nodes[0].addresses",
            "192.0.2.1",
        ),
    ] {
        let dir = folder(&[("base.yaml", BASE), ("nodes.yaml", nodes)]);
        let options = check::Options {
            json: true,
            ..check::Options::default()
        };
        let mut out = Vec::new();
        let outcome = check::run(dir.path(), options, &mut out).unwrap();
        assert_eq!(outcome, check::Outcome::Failed, "{nodes}");
        let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let objects = document["objects"].as_array().unwrap().iter();
        let mut files = objects.filter(|object| object["kind"] == "File");
        let file = files.next().unwrap_or_else(|| panic!("{document:#}"));
        assert_eq!(
            (&file["name"], &file["verdict"]),
            (&"nodes.yaml".into(), &"refused".into())
        );
        let finding = &file["findings"][0];
        assert_eq!(
            (&finding["cause"], &finding["field"]),
            (&"nodes".into(), &field.into()),
            "{document:#}"
        );
        assert!(finding.to_string().contains(words), "{finding:#}");
    }
}

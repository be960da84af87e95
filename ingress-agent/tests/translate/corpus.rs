//! The corpus of broken and surprising manifests: `check` says of each the words that stand beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ingress_agent::check;

use crate::folder::{BASE, folder, services};

pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The manifests, by name.
pub(crate) fn corpus() -> BTreeMap<String, PathBuf> {
    let entries = here().join("tests/corpus").read_dir().unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let manifests = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    manifests.map(|path| (name(&path), path)).collect()
}

pub(crate) fn checked(manifest: &Path, json: bool) -> String {
    let text = std::fs::read_to_string(manifest).unwrap();
    let base = BASE.to_owned() + &services(&["echo"]);
    let dir = folder(&[("base.yaml", &base), ("manifest.yaml", &text)]);
    let options = check::Options {
        json,
        ..check::Options::default()
    };
    let mut out = Vec::new();
    check::run(dir.path(), options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Without the objects of the base that are accepted, and the count.
fn words(output: &str) -> String {
    let said = output.lines().filter(|line| {
        let base = line.starts_with("accepted") && line.contains("(base.yaml");
        !base && !line.ends_with(" refused")
    });
    said.map(|line| format!("{line}\n")).collect()
}

#[test]
fn check_says_the_words_that_stand_beside_each_manifest() {
    let corpus = corpus();
    assert!(corpus.len() >= 60, "{} manifests", corpus.len());
    let mut differ = Vec::new();
    for (name, manifest) in &corpus {
        let said = words(&checked(manifest, false));
        let expected = std::fs::read_to_string(manifest.with_extension("txt")).unwrap_or_default();
        if said != expected {
            differ.push(format!("==> {name}\n{said}"));
        }
    }
    assert!(
        differ.is_empty(),
        "other words than stand there:\n{}",
        differ.concat()
    );
}

#[test]
fn the_json_says_what_the_words_say() {
    for (name, manifest) in corpus() {
        let document: serde_json::Value = serde_json::from_str(&checked(&manifest, true)).unwrap();
        let text = checked(&manifest, false);
        for object in document["objects"].as_array().unwrap() {
            assert!(
                text.contains(&format!(
                    "{:<8}  {} ",
                    object["verdict"].as_str().unwrap(),
                    object["kind"].as_str().unwrap()
                )),
                "{name}"
            );
            let keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(
                keys,
                ["file", "findings", "kind", "name", "namespace", "verdict"],
                "{name}"
            );
            for finding in object["findings"].as_array().unwrap() {
                for key in ["field", "found", "expected", "consequence", "change"] {
                    assert!(text.contains(finding[key].as_str().unwrap()), "{name}: {key}");
                }
                assert!(
                    finding.get("nearest").is_some() && finding.get("cause").is_some(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn strict_fails_on_what_is_degraded() {
    for (name, plain, strict) in [
        ("surprising-good", check::Outcome::Passed, check::Outcome::Passed),
        ("service-missing", check::Outcome::Passed, check::Outcome::Failed),
        ("host-dots", check::Outcome::Failed, check::Outcome::Failed),
    ] {
        let text = std::fs::read_to_string(&corpus()[name]).unwrap();
        let base = BASE.to_owned() + &services(&["echo"]);
        let dir = folder(&[("base.yaml", &base), ("manifest.yaml", &text)]);
        let outcome = |strict| {
            let options = check::Options {
                strict,
                ..check::Options::default()
            };
            check::run(dir.path(), options, &mut std::io::sink()).unwrap()
        };
        assert_eq!((outcome(false), outcome(true)), (plain, strict), "{name}");
    }
}

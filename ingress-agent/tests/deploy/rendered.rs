//! Objects as they come out of kubectl and Helm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use xtask::control_plane::Binaries;

/// Every folder that runs agents, below [`folder`].
pub(crate) const KUSTOMIZATIONS: [&str; 4] = [
    "base",
    "overlays/namespaced",
    "overlays/no-xdp",
    "overlays/takeover",
];

/// What ends them.
pub(crate) const UNLOADING: &str = "overlays/unload";

/// `deploy/`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// What `kubectl apply -k` sends, as text.
pub(crate) fn kustomize(kustomization: &str) -> String {
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
    let mut command = Command::new(binaries.path("kubectl"));
    stdout(command.arg("kustomize").arg(folder().join(kustomization)))
}

/// The objects of a text by kind, namespace and name, with the agent's variables in the order of their names.
pub(crate) fn objects(yaml: &str) -> BTreeMap<[String; 3], Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut objects = BTreeMap::new();
    for mut object in documents.into_iter().filter(|document| !document.is_null()) {
        if let Some(Value::Array(env)) = object.pointer_mut("/spec/template/spec/containers/0/env") {
            env.sort_by_key(|variable| variable["name"].as_str().unwrap().to_owned());
        }
        same_numbers(&mut object);
        let text = |at: &str| {
            object
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let key = ["/kind", "/metadata/namespace", "/metadata/name"].map(text);
        assert!(objects.insert(key.clone(), object).is_none(), "{key:?} twice");
    }
    objects
}

/// JSON has one kind of number: kustomize writes 1 for 1.0.
fn same_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            if let Some(whole) = text
                .strip_suffix(".0")
                .and_then(|whole| whole.parse::<i64>().ok())
            {
                *value = json!(whole);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(same_numbers),
        Value::Object(fields) => fields.values_mut().for_each(same_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The one DaemonSet's Pod template's spec.
pub(crate) fn pod(objects: &BTreeMap<[String; 3], Value>) -> Value {
    let sets: Vec<_> = objects
        .values()
        .filter(|object| object["kind"] == "DaemonSet")
        .collect();
    let [set] = sets[..] else {
        panic!("{} DaemonSets", sets.len())
    };
    set["spec"]["template"]["spec"].clone()
}

/// What a command prints when it succeeds.
pub(crate) fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

//! The chart: with each set of values it gives what a kustomization does.

use std::env;
use std::process::Command;

use serde_json::{Value, json};
use xtask::control_plane::Helm;

use crate::rendered::{folder, kustomize, objects, pod, stdout};

/// What Helm makes of the chart with these values; `None`: there is no Helm here, which is an error in CI.
fn rendered(values: &[&str]) -> Option<String> {
    let Some(helm) = Helm::find().unwrap() else {
        assert!(env::var_os("CI").is_none(), "there is no helm here");
        eprintln!("not run: there is no helm here; `cargo xtask test` builds it");
        return None;
    };
    let own = tempfile::tempdir().unwrap();
    let mut command: Command = helm.command(own.path());
    command
        .args(["template", "ingress-agent"])
        .arg(folder().join("helm"));
    command.args(["--namespace", "ingress-agent", "--include-crds"]);
    for value in values {
        command.args(["--set", value]);
    }
    Some(stdout(&mut command))
}

#[test]
fn values_and_overlays_say_the_same() {
    let listed = "watchNamespaces={default}";
    for (kustomization, values) in [
        ("base", &[][..]),
        ("overlays/no-xdp", &["noXdp=true"]),
        ("overlays/takeover", &["takeOver=true", "publish=false"]),
        ("overlays/namespaced", &[listed]),
    ] {
        let Some(chart) = rendered(values) else { return };
        let (chart, expected) = (objects(&chart), objects(&kustomize(kustomization)));
        let keys = |objects: &std::collections::BTreeMap<[String; 3], Value>| {
            objects.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&chart), keys(&expected), "{kustomization}");
        for (key, object) in &expected {
            assert_eq!(chart[key], *object, "{kustomization}: {key:?}");
        }
    }
}

#[test]
fn values_reach_the_pods() {
    let Some(chart) = rendered(&[
        "image.repository=registry.test/agent",
        "image.tag=1.2.3",
        "interface={eth0,eth1}",
        "resources.requests.cpu=2",
        "nodeSelector.edge=yes",
        "tolerations[0].key=edge",
        "flags.drain-timeout=60s",
        "flags.source=kube",
        "namespace=false",
    ]) else {
        return;
    };
    let objects = objects(&chart);
    assert!(objects.keys().all(|[kind, ..]| kind != "Namespace"));
    let pod = pod(&objects);
    let agent = &pod["containers"][0];
    assert_eq!(agent["image"], "registry.test/agent:1.2.3");
    assert_eq!(agent["resources"], json!({"requests": {"cpu": 2}}));
    assert_eq!(pod["nodeSelector"], json!({"edge": "yes"}));
    assert_eq!(pod["tolerations"], json!([{"key": "edge"}]));
    let env = agent["env"].as_array().unwrap();
    let values = |name: &str| {
        env.iter()
            .filter(|variable| variable["name"] == name)
            .map(|variable| variable["value"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(values("INGRESS_AGENT_INTERFACE"), ["eth0,eth1"]);
    assert_eq!(values("INGRESS_AGENT_DRAIN_TIMEOUT"), ["60s"]);
    assert_eq!(values("INGRESS_AGENT_SOURCE"), ["kube"]);
}

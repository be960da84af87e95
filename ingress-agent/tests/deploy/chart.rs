//! The chart: with each set of values it gives what a kustomization does.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use xtask::control_plane::{Binaries, Helm, Place, Plane};
use xtask::image::TAG;
use xtask::lab::Scratch;

use crate::rendered::{folder, kustomize, objects, pod, stdout};

/// Helm; `None`: there is none here, which is an error in CI.
fn helm() -> Option<Helm> {
    let helm = Helm::find().unwrap();
    if helm.is_none() {
        assert!(env::var_os("CI").is_none(), "there is no helm here");
        eprintln!("not run: there is no helm here; `cargo xtask test` builds it");
    }
    helm
}

/// What Helm makes of a chart with these values.
fn rendered(helm: &Helm, chart: &Path, values: &[&str]) -> BTreeMap<[String; 3], Value> {
    let own = tempfile::tempdir().unwrap();
    let mut command = helm.command(own.path());
    command.args(["template", "ingress-agent"]).arg(chart);
    command.args(["--namespace", "ingress-agent", "--include-crds"]);
    command.args(["--set", "namespace=true"]);
    for value in values {
        command.args(["--set", value]);
    }
    objects(&stdout(&mut command))
}

fn assert_same(chart: &BTreeMap<[String; 3], Value>, kustomization: &str) {
    let expected = objects(&kustomize(kustomization));
    let keys: Vec<_> = expected.keys().collect();
    assert_eq!(chart.keys().collect::<Vec<_>>(), keys, "{kustomization}");
    for (key, object) in &expected {
        assert_eq!(chart[key], *object, "{kustomization}: {key:?}");
    }
}

#[test]
fn values_and_overlays_say_the_same() {
    let Some(helm) = helm() else { return };
    for (kustomization, values) in [
        ("base", &[][..]),
        ("overlays/no-xdp", &["noXdp=true"]),
        ("overlays/takeover", &["takeOver=true", "publish=false"]),
        ("overlays/namespaced", &["watchNamespaces={default}"]),
    ] {
        assert_same(&rendered(&helm, &folder().join("helm"), values), kustomization);
    }
}

/// The chart's link to the base is followed.
#[test]
fn a_packaged_chart_has_all_of_it() {
    let Some(helm) = helm() else { return };
    let own = tempfile::tempdir().unwrap();
    let mut command = helm.command(own.path());
    command
        .arg("package")
        .arg(folder().join("helm"))
        .arg("--destination")
        .arg(own.path());
    stdout(&mut command);
    let package = own.path().join(format!("ingress-agent-{TAG}.tgz"));
    assert_same(&rendered(&helm, &package, &[]), "base");
}

#[test]
fn it_is_installed_changed_and_removed() {
    let Some(helm) = helm() else { return };
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
    let scratch = Arc::new(Scratch::begin().unwrap());
    let plane = Plane::start(&scratch, binaries, Place::default(), false).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = helm.command(scratch.directory());
        command.env("KUBECONFIG", plane.kubeconfig());
        stdout(command.args(arguments).args(["--namespace", "ingress-agent"]))
    };
    let chart = folder().join("helm").display().to_string();
    let namespace = folder().join("base/namespace.yaml").display().to_string();
    plane.kubectl(&["apply", "--filename", &namespace]).unwrap();
    run(&["install", "ingress-agent", &chart]);
    let agent = || {
        plane.kubectl(&[
            "get",
            "daemonset",
            "ingress-agent",
            "--namespace",
            "ingress-agent",
            "-o",
            "yaml",
        ])
    };
    assert!(agent().unwrap().contains("/sys/fs/bpf"));
    run(&["upgrade", "ingress-agent", &chart, "--set", "noXdp=true"]);
    assert!(!agent().unwrap().contains("/sys/fs/bpf"));
    run(&["uninstall", "ingress-agent"]);
    assert!(agent().is_err());
}

#[test]
fn values_reach_the_pods() {
    let Some(helm) = helm() else { return };
    let values = [
        "image.repository=registry.test/agent",
        "image.tag=1.2.3",
        "interface={eth0,eth1}",
        "resources.requests.cpu=2",
        "nodeSelector.edge=yes",
        "tolerations[0].key=edge",
        "flags.drain-timeout=600s",
        "terminationGracePeriodSeconds=630",
        "flags.source=kube",
        "config.max-connections=2000000",
        "config.no-publish=true",
        "namespace=false",
    ];
    let objects = rendered(&helm, &folder().join("helm"), &values);
    assert!(objects.keys().all(|[kind, ..]| kind != "Namespace"));
    let map = ["ConfigMap", "ingress-agent", "ingress-agent"].map(str::to_owned);
    let config = json!({"max-connections": "2000000", "no-publish": "true"});
    assert_eq!(objects[&map]["data"], config);
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
    assert_eq!(values("INGRESS_AGENT_DRAIN_TIMEOUT"), ["600s"]);
    assert_eq!(pod["terminationGracePeriodSeconds"], 630);
    assert_eq!(values("INGRESS_AGENT_SOURCE"), ["kube"]);
}

//! The kustomizations.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use clap::CommandFactory;
use ingress_agent::config::Cli;
use serde_json::{Value, json};
use xtask::control_plane::{Binaries, Place, Plane};
use xtask::image::{ENTRYPOINT, NAME, TAG};
use xtask::lab::Scratch;

use crate::rendered::{KUSTOMIZATIONS, UNLOADING, folder, kustomize, objects, pod};

fn pod_of(kustomization: &str) -> Value {
    pod(&objects(&kustomize(kustomization)))
}

/// The variables that are set to a text.
fn flags(pod: &Value) -> Vec<(String, String)> {
    let env = pod["containers"][0]["env"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    env.filter_map(|variable| Some((text(&variable["name"])?, text(&variable["value"])?)))
        .collect()
}

fn has(flags: &[(String, String)], name: &str, value: &str) -> bool {
    flags.contains(&(name.to_owned(), value.to_owned()))
}

#[test]
fn every_overlay_is_known_here() {
    let overlays = fs::read_dir(folder().join("overlays")).unwrap();
    let here: BTreeSet<_> = overlays
        .map(|entry| format!("overlays/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    let known = KUSTOMIZATIONS.into_iter().chain([UNLOADING]);
    let known = known.filter(|name| *name != "base");
    assert_eq!(here, known.map(str::to_owned).collect());
}

#[test]
fn every_pod_has_what_it_needs_and_no_more() {
    for kustomization in KUSTOMIZATIONS {
        let rendered = objects(&kustomize(kustomization));
        let set = rendered
            .values()
            .find(|object| object["kind"] == "DaemonSet")
            .unwrap();
        let update = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
        assert_eq!(set["spec"]["updateStrategy"], update, "{kustomization}");
        let pod = pod(&rendered);
        for (field, expected) in [
            ("hostNetwork", json!(true)),
            ("dnsPolicy", json!("ClusterFirstWithHostNet")),
            ("priorityClassName", json!("system-node-critical")),
            ("serviceAccountName", json!("ingress-agent")),
            ("terminationGracePeriodSeconds", json!(330)),
            ("tolerations", json!([{"operator": "Exists"}])),
            (
                "securityContext",
                json!({"seccompProfile": {"type": "RuntimeDefault"}}),
            ),
        ] {
            assert_eq!(pod[field], expected, "{kustomization}: {field}");
        }
        assert_eq!(pod["hostPID"], Value::Null);
        let containers = pod["containers"].as_array().unwrap();
        assert_eq!(
            (containers.len(), &pod["initContainers"]),
            (1, &Value::Null),
            "{kustomization}"
        );
        let agent = &containers[0];
        // On the node's network they would reserve the node's ports.
        assert_eq!(agent["ports"], Value::Null, "{kustomization}");
        assert_eq!(agent["image"], format!("{NAME}:{TAG}"));
        assert_eq!(agent["command"], Value::Null, "the image's own");
        let rights = &agent["securityContext"];
        assert_eq!(rights["privileged"], Value::Null, "{kustomization}");
        assert_eq!(rights["allowPrivilegeEscalation"], false, "{kustomization}");
        assert_eq!(rights["readOnlyRootFilesystem"], true, "{kustomization}");
        assert_eq!(rights["capabilities"]["drop"], json!(["ALL"]), "{kustomization}");
        for (probe, what) in [("readinessProbe", "readyz"), ("livenessProbe", "livez")] {
            let command = json!([ENTRYPOINT, "probe", what]);
            assert_eq!(agent[probe]["exec"]["command"], command, "{kustomization}");
        }
        for resource in ["cpu", "memory"] {
            assert!(
                agent["resources"]["requests"][resource].is_string(),
                "{kustomization}"
            );
        }
        let volumes = pod["volumes"].as_array().unwrap();
        let run = json!({"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}});
        assert!(volumes.contains(&run), "{kustomization}: {volumes:?}");
        let mounts: BTreeSet<_> = agent["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| &mount["name"])
            .map(Value::to_string)
            .collect();
        let named: BTreeSet<_> = volumes.iter().map(|volume| volume["name"].to_string()).collect();
        assert_eq!(mounts, named, "{kustomization}");
    }
}

#[test]
fn only_what_loads_programs_may_load_them() {
    let ordinary = ["NET_BIND_SERVICE"];
    let all = ["BPF", "NET_ADMIN", "PERFMON", "DAC_OVERRIDE", "NET_BIND_SERVICE"];
    for kustomization in KUSTOMIZATIONS {
        let pod = pod_of(kustomization);
        let capabilities = &pod["containers"][0]["securityContext"]["capabilities"]["add"];
        let volumes = pod["volumes"].to_string();
        if kustomization == "overlays/no-xdp" {
            assert_eq!(*capabilities, json!(ordinary));
            assert!(!volumes.contains("bpf"), "{volumes}");
        } else {
            assert_eq!(*capabilities, json!(all), "{kustomization}");
            assert!(volumes.contains("/sys/fs/bpf"), "{volumes}");
        }
    }
}

/// Who runs it without a DaemonSet reads there what it needs.
#[test]
fn the_help_names_the_capabilities() {
    let mut command = Cli::command();
    let run = command.find_subcommand_mut("run").unwrap();
    let help = run.render_long_help().to_string();
    let pod = pod_of("base");
    let added = &pod["containers"][0]["securityContext"]["capabilities"]["add"];
    for capability in added.as_array().unwrap() {
        let name = format!("CAP_{}", capability.as_str().unwrap());
        assert!(help.contains(&name), "{name}");
    }
}

#[test]
fn each_overlay_does_what_its_name_says() {
    let base = flags(&pod_of("base"));
    assert!(has(&base, "INGRESS_AGENT_SOURCE", "kube"), "{base:?}");
    let ordinary = flags(&pod_of("overlays/no-xdp"));
    assert!(has(&ordinary, "INGRESS_AGENT_NO_XDP", "true"), "{ordinary:?}");
    assert!(
        has(&ordinary, "INGRESS_AGENT_LISTEN", "0.0.0.0:80,[::]:80"),
        "{ordinary:?}"
    );
    let takeover = flags(&pod_of("overlays/takeover"));
    assert!(
        has(&takeover, "INGRESS_AGENT_TAKE_OVER_INGRESS_NGINX", "true"),
        "{takeover:?}"
    );
    assert!(has(&takeover, "INGRESS_AGENT_NO_PUBLISH", "true"), "{takeover:?}");

    let namespaced = objects(&kustomize("overlays/namespaced"));
    let watched = flags(&pod(&namespaced));
    assert!(
        has(&watched, "INGRESS_AGENT_WATCH_NAMESPACE", "default"),
        "{watched:?}"
    );
    let bound = |kind: &str, namespace: &str, role: &str| {
        let bindings = namespaced
            .iter()
            .filter(|(key, _)| key[0] == kind && key[1] == namespace);
        bindings
            .filter(|(_, binding)| binding["roleRef"]["name"] == role)
            .count()
    };
    assert_eq!(bound("ClusterRoleBinding", "", "ingress-agent-objects"), 0);
    assert_eq!(bound("ClusterRoleBinding", "", "ingress-agent"), 1);
    assert_eq!(bound("RoleBinding", "default", "ingress-agent-objects"), 1);
    // What it may do in a namespace stands in the base alone.
    let named = |kind: &str, namespace: &str| [kind, namespace, "ingress-agent-objects"].map(str::to_owned);
    let role = &namespaced[&named("Role", "default")]["rules"];
    let base = objects(&kustomize("base"));
    assert_eq!(*role, base[&named("ClusterRole", "")]["rules"]);
    assert!(!namespaced.contains_key(&named("ClusterRole", "")));
    let binding = &namespaced[&named("RoleBinding", "default")];
    assert_eq!(binding["roleRef"]["kind"], "Role");
    // Events are also told where nothing is served.
    for namespace in ["default", "ingress-agent"] {
        let key = ["Role", namespace, "ingress-agent-events"].map(str::to_owned);
        let rules = namespaced[&key]["rules"].as_array().unwrap();
        assert!(
            rules.iter().all(|rule| role.as_array().unwrap().contains(rule)),
            "{rules:?}"
        );
        assert_eq!(bound("RoleBinding", namespace, "ingress-agent-events"), 1);
    }
}

/// A name that is none would be ignored in silence.
#[test]
fn every_variable_is_a_flag_s() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let known: BTreeSet<_> = run
        .get_arguments()
        .filter_map(|flag| flag.get_env()?.to_str())
        .collect();
    for kustomization in KUSTOMIZATIONS {
        let pod = pod_of(kustomization);
        for variable in pod["containers"][0]["env"].as_array().unwrap() {
            let name = variable["name"].as_str().unwrap();
            assert!(known.contains(name), "{kustomization}: {name}");
        }
    }
}

/// With `kubectl apply`'s strict validation: an unknown field is an error.
#[test]
fn the_api_server_takes_all_of_it() {
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
    let scratch = Arc::new(Scratch::begin().unwrap());
    let plane = Plane::start(&scratch, binaries, Place::default(), false).unwrap();
    for kustomization in KUSTOMIZATIONS {
        let applied = plane.kubectl_with(
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--validate=strict",
                "-f",
                "-",
            ],
            &kustomize(kustomization),
        );
        let applied = applied.unwrap_or_else(|error| panic!("{kustomization}: {error:#}"));
        let count = objects(&kustomize(kustomization)).len();
        assert_eq!(applied.lines().count(), count, "{kustomization}: {applied}");
    }
    let controller = plane.kubectl(&[
        "get",
        "ingressclass",
        "ingress-agent",
        "-o",
        "jsonpath={.spec.controller}",
    ]);
    assert_eq!(controller.unwrap(), "ingress-agent.dev/xdp");
}

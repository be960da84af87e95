//! The rights that `deploy/base` gives the agent: what it needs, and no more.

use std::collections::BTreeSet;
use std::env::current_exe;
use std::fs;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ingress_agent::cluster::{Coordination, Retention};
use ingress_agent::source::kube;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::cluster::{Cluster, PATIENCE};
use super::deployed::Deployed;

/// Whose requests are looked at.
const USER: &str = "system:serviceaccount:ingress-agent:ingress-agent";
/// Where its Role is, and the name of the one Secret and the one ConfigMap there that it follows.
const OWN: &str = "ingress-agent";
/// Used when the rest was: by whoever leads when a node has long gone, and by who leads after another.
const LATER: [[&str; 4]; 3] = [
    [OWN, "coordination.k8s.io", "leases", "delete"],
    ["", "events.k8s.io", "events", "get"],
    ["", "events.k8s.io", "events", "patch"],
];

/// The Role's namespace or nothing, API group, resource with its part, and verb.
type Right = [String; 4];

fn texts(object: &Value, field: &str) -> Vec<String> {
    let values = object.get(field).and_then(Value::as_array).into_iter().flatten();
    values.map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// What a request's event says there; nothing where it says nothing.
fn text(event: &Value, at: &str) -> String {
    event
        .pointer(at)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The objects of a kind, of all namespaces.
fn objects(cluster: &Cluster, kind: &str) -> Vec<Value> {
    let list = cluster.kubectl(&["get", kind, "--all-namespaces", "--output=json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    list.get("items").and_then(Value::as_array).unwrap().clone()
}

/// Whether a binding is to the agents' ServiceAccount.
fn is_ours(binding: &Value) -> bool {
    let subjects = binding.get("subjects").and_then(Value::as_array);
    subjects
        .into_iter()
        .flatten()
        .any(|subject| match &*text(subject, "/kind") {
            "ServiceAccount" => text(subject, "/namespace") == OWN && text(subject, "/name") == OWN,
            "User" => text(subject, "/name") == USER,
            // What all ServiceAccounts have is the API server's own.
            _ => text(subject, "/name") == "system:serviceaccounts:ingress-agent",
        })
}

/// What the roles give that are bound to the agents, whichever they are.
fn given(cluster: &Cluster) -> BTreeSet<Right> {
    let mut given = BTreeSet::new();
    for kind in ["clusterrolebindings", "rolebindings"] {
        for binding in objects(cluster, kind).iter().filter(|binding| is_ours(binding)) {
            let (kind, name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            let namespace = text(binding, "/metadata/namespace");
            let role = ["get", &kind, &name, "--namespace", &namespace, "--output=json"];
            let role: Value = serde_json::from_str(&cluster.kubectl(&role)).unwrap();
            let rules = role.get("rules").and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                for verb in texts(rule, "verbs") {
                    for url in texts(rule, "nonResourceURLs") {
                        given.insert([namespace.clone(), String::new(), url, verb.clone()]);
                    }
                    for group in texts(rule, "apiGroups") {
                        for resource in texts(rule, "resources") {
                            given.insert([namespace.clone(), group.clone(), resource, verb.clone()]);
                        }
                    }
                }
            }
        }
    }
    given
}

/// What of the given rights was used, and whatever else was asked for; nothing of it was refused.
fn used(cluster: &Cluster, given: &BTreeSet<Right>) -> BTreeSet<Right> {
    let log = fs::read_to_string(cluster.plane.audit_log()).unwrap();
    // The last line may be half written.
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| text(event, "/user/username") == USER);
    let mut used = BTreeSet::new();
    for event in events {
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        assert_ne!(code, Some(403), "{event}");
        if event.get("objectRef").is_none() {
            // The API server's own version, which everybody may ask for.
            continue;
        }
        let (resource, part) = (
            text(&event, "/objectRef/resource"),
            text(&event, "/objectRef/subresource"),
        );
        let right = [
            text(&event, "/objectRef/namespace"),
            text(&event, "/objectRef/apiGroup"),
            if part.is_empty() {
                resource
            } else {
                format!("{resource}/{part}")
            },
            text(&event, "/verb"),
        ];
        // The Role's, which for these is of one name.
        let is_named = ["secrets", "configmaps"].contains(&&*right[2]) && right[3] != "create";
        let is_own = given.contains(&right) && (!is_named || text(&event, "/objectRef/name") == OWN);
        let [namespace, group, resource, verb] = right;
        let namespace = if is_own { namespace } else { String::new() };
        used.insert([namespace, group, resource, verb]);
    }
    used
}

/// Waits until all rights but these are used, and nothing else is asked for.
#[track_caller]
fn use_all_but(cluster: &Cluster, given: &BTreeSet<Right>, later: &[Right]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let used = used(cluster, given);
        let mut unused = given.difference(&used).filter(|right| !later.contains(right));
        let (unused, others) = (unused.next(), used.difference(given).next());
        if unused.is_none() && others.is_none() {
            break;
        }
        assert!(
            Instant::now() < until,
            "never used: {unused:?}; used and not given: {others:?}"
        );
        sleep(Duration::from_millis(200));
    }
}

/// Another program's part of the test below, by the agents' rights: leads, and keeps no Lease that has ended.
#[test]
#[ignore = "the other test's program: it leads until it is killed"]
fn a_leader_that_forgets_at_once() {
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Runtime::new().unwrap().block_on(async {
        let client = kube::connect().await.unwrap().client;
        let at_once = Retention {
            lease: Duration::ZERO,
            number: Duration::ZERO,
        };
        let _leader = Coordination::start(&client, OWN, &Arc::from("node1"), at_once).unwrap();
        std::future::pending::<()>().await;
    });
}

#[test]
fn the_agents_use_each_of_their_rights_and_lack_none() {
    let Some(deployed) = Deployed::start(true) else {
        return;
    };
    let cluster = &deployed.cluster;
    // Told in an Event.
    cluster.kubectl(&["delete", "vippool", "edge"]);
    let given = given(cluster);
    let later = LATER.map(|right| right.map(str::to_owned));
    use_all_but(cluster, &given, &later);

    // Another leads, and finds the Event there.
    let path = "--output=jsonpath={.spec.holderIdentity}";
    let lease = cluster.kubectl(&["get", "lease/ingress-agent-leader", "--namespace", OWN, path]);
    let (node, _) = lease.split_once('_').unwrap();
    let of_node = format!("--field-selector=spec.nodeName={node}");
    cluster.kubectl(&["delete", "pod", "--namespace", OWN, &of_node]);
    let [forgets, ..] = &later;
    use_all_but(cluster, &given, std::slice::from_ref(forgets));

    // All nodes have gone, and whoever leads then does not wait ten minutes.
    cluster.kubectl(&["delete", "daemonset/ingress-agent", "--namespace", OWN]);
    let plane = &cluster.plane;
    let account = plane.account_kubeconfig(OWN, OWN, plane.api()).unwrap();
    let mut command = cluster.lab.pod_network().command(current_exe().unwrap());
    command
        .args([
            "rights::a_leader_that_forgets_at_once",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("KUBECONFIG", account);
    let _leader = cluster.lab.scratch().start("forgets", &mut command).unwrap();
    use_all_but(cluster, &given, &[]);
}

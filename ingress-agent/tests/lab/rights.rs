//! The rights that `deploy/base` gives the agent: what it needs, and no more.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{Cluster, PATIENCE};
use super::deployed::Deployed;

/// Whose requests are looked at.
const USER: &str = "system:serviceaccount:ingress-agent:ingress-agent";
/// Where its Role is, and the name of the one Secret and the one ConfigMap there that it follows.
const OWN: &str = "ingress-agent";
/// Used ten minutes after a node has gone, which is too long for a test.
const LATE: [&str; 4] = [OWN, "coordination.k8s.io", "leases", "delete"];

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

/// What the roles give.
fn given(cluster: &Cluster) -> BTreeSet<Right> {
    let mut given = BTreeSet::new();
    let roles = [
        ("clusterrole/ingress-agent", ""),
        ("clusterrole/ingress-agent-objects", ""),
        ("role/ingress-agent", OWN),
    ];
    for (role, namespace) in roles {
        let role = cluster.kubectl(&["get", role, "--namespace", OWN, "--output=json"]);
        let role: Value = serde_json::from_str(&role).unwrap();
        for rule in role.get("rules").and_then(Value::as_array).unwrap() {
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    for verb in texts(rule, "verbs") {
                        given.insert([namespace.to_owned(), group.clone(), resource.clone(), verb]);
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

#[test]
fn the_agents_use_each_of_their_rights_and_lack_none() {
    let Some(deployed) = Deployed::start(true) else {
        return;
    };
    // Told in an Event.
    deployed.cluster.kubectl(&["delete", "vippool", "edge"]);
    let mut given = given(&deployed.cluster);
    assert!(given.remove(&LATE.map(str::to_owned)));
    let until = Instant::now() + PATIENCE;
    loop {
        let used = used(&deployed.cluster, &given);
        if used == given {
            break;
        }
        let unused: Vec<_> = given.difference(&used).collect();
        let others: Vec<_> = used.difference(&given).collect();
        assert!(
            Instant::now() < until,
            "never used: {unused:?}; used and not given: {others:?}"
        );
        sleep(Duration::from_millis(200));
    }
}

//! The rights that an agent needs, uses and does without.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use xtask::lab::Process;

use crate::cluster::{Cluster, NODE, ingress, ingress_tls, service};

/// API group, resource and verbs: what an agent of all namespaces needs.
const RIGHTS: [Right; 6] = [
    Right("networking.k8s.io", "ingresses", &["list", "watch"]),
    Right("networking.k8s.io", "ingressclasses", &["list", "watch"]),
    Right("", "services", &["list", "watch"]),
    Right("discovery.k8s.io", "endpointslices", &["list", "watch"]),
    Right("", "secrets", &["get", "list", "watch"]),
    Right("", OWN, &["list", "watch"]),
];
/// What of it is of the agents' own namespace, `default` here.
const OWN: &str = "configmaps";
/// What of it belongs to no namespace.
const OF_NO_NAMESPACE: &str = "ingressclasses";

#[derive(Clone, Copy)]
struct Right(&'static str, &'static str, &'static [&'static str]);

/// A ClusterRole with some rights, bound to the agent.
fn cluster_role(rights: &[Right]) -> String {
    role("Cluster", "", rights)
}

/// A Role with some rights in a namespace, bound to the agent.
fn namespace_role(namespace: &str, rights: &[Right]) -> String {
    role("", &format!(", namespace: {namespace}"), rights)
}

fn role(scope: &str, namespace: &str, rights: &[Right]) -> String {
    let mut rules = String::new();
    for Right(group, resource, verbs) in rights {
        let verbs = verbs.join(", ");
        writeln!(
            rules,
            "- {{apiGroups: ['{group}'], resources: [{resource}], verbs: [{verbs}]}}"
        )
        .unwrap();
    }
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: {scope}Role\n\
         metadata: {{name: agent{namespace}}}\n\
         rules:\n{rules}\
         ---\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: {scope}RoleBinding\n\
         metadata: {{name: agent{namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {scope}Role, name: agent}}\n\
         subjects: [{{kind: ServiceAccount, name: agent, namespace: default}}]\n\
         ---\n"
    )
}

/// Makes the agent's ServiceAccount, with roles.
fn account(cluster: &Cluster, roles: &str) {
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent, namespace: default}\n";
    cluster.apply(&(roles.to_owned() + account));
}

/// Starts an agent by its ServiceAccount.
fn agent(cluster: &Cluster, flags: &[&str]) -> Process {
    let kubeconfig = cluster
        .plane
        .account_kubeconfig("default", "agent", cluster.plane.api());
    let agent = cluster.start_agent_as("agent", &kubeconfig.unwrap(), flags);
    agent
        .wait_for_log("serving without XDP", 0, Duration::from_secs(30))
        .unwrap();
    agent
}

/// What the agent did.
fn requests(cluster: &Cluster) -> Vec<([String; 4], u64)> {
    requests_of(cluster, "system:serviceaccount:default:agent")
}

/// What a user did: group, resource, verb and namespace, each with the status of the answer.
fn requests_of(cluster: &Cluster, user: &str) -> Vec<([String; 4], u64)> {
    let log = fs::read_to_string(cluster.plane.audit_log()).unwrap();
    // The last line may be half written.
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |event: &Value, at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or("").to_owned();
    events
        .filter(|event| text(event, "/user/username") == user)
        .map(|event| {
            let fields = [
                "/objectRef/apiGroup",
                "/objectRef/resource",
                "/verb",
                "/objectRef/namespace",
            ];
            let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
            (fields.map(|at| text(&event, at)), code.unwrap_or(0))
        })
        .collect()
}

/// What a role in the cluster gives: group, resource and verb.
fn given(cluster: &Cluster) -> BTreeSet<[String; 3]> {
    let role = cluster.kubectl(&["get", "clusterrole", "agent", "--output=json"]);
    let role: Value = serde_json::from_str(&role).unwrap();
    let list = |rule: &Value, field: &str| -> Vec<String> {
        let values = rule.get(field).and_then(Value::as_array).unwrap().iter();
        values.map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let mut given = BTreeSet::new();
    for rule in role.get("rules").and_then(Value::as_array).unwrap() {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                for verb in list(rule, "verbs") {
                    given.insert([group.clone(), resource.clone(), verb]);
                }
            }
        }
    }
    given
}

#[test]
fn it_uses_each_of_its_rights_and_lacks_none() {
    let cluster = Cluster::audited();
    account(&cluster, &cluster_role(&RIGHTS));
    let certificate = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    let _agent = agent(&cluster, &[]);
    cluster.eventually("its certificate", |cluster| {
        cluster.shown("shop.test") == certificate
    });
    let given = given(&cluster);
    cluster.eventually("every right is used", |cluster| {
        let requests = requests(cluster);
        let refused: Vec<_> = requests.iter().filter(|(_, code)| *code == 403).collect();
        assert!(refused.is_empty(), "{refused:?}");
        let used = requests
            .into_iter()
            .map(|([group, resource, verb, _], _)| [group, resource, verb]);
        used.collect::<BTreeSet<_>>() == given
    });
}

#[test]
fn a_secret_that_it_may_not_read_harms_its_own_hosts_only() {
    let cluster = Cluster::start();
    let may_not_get = RIGHTS.map(|Right(group, resource, verbs)| {
        let verbs = if resource == "secrets" {
            &["list", "watch"]
        } else {
            verbs
        };
        Right(group, resource, verbs)
    });
    let get = [Right("", "secrets", &["get"])];
    cluster.kubectl(&["create", "namespace", "a"]);
    account(
        &cluster,
        &(cluster_role(&may_not_get) + &namespace_role("a", &get)),
    );
    let hidden = cluster.pair("default", "pair", "shop.test");
    let shown = cluster.pair("a", "pair", "a.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    cluster.apply_in("a", &service("blue", "10.2.0.12"));
    cluster.apply_in("a", &ingress_tls("a", "a.test", "blue", "pair"));
    let agent = agent(&cluster, &[]);
    cluster.eventually("a's certificate", |cluster| cluster.shown("a.test") == shown);
    assert_eq!(cluster.get_tls("a.test", "/").0, "200");
    assert_eq!(cluster.get_tls("shop.test", "/").0, "200");
    let default = cluster.shown("shop.test");
    assert!(!default.is_empty() && default != hidden && default != shown);
    // The words of `secret-unreadable`.
    let said = agent.wait_for_log("an API server that does not give it", 0, Duration::from_secs(10));
    said.unwrap();

    // The right is given: nothing needs a restart.
    cluster.apply(&namespace_role("default", &get));
    cluster.eventually("its certificate", |cluster| cluster.shown("shop.test") == hidden);
}

/// As before the ConfigMap was read.
#[test]
fn without_a_right_to_the_config_map_it_serves_by_its_flags() {
    let cluster = Cluster::start();
    let rights: Vec<_> = RIGHTS
        .into_iter()
        .filter(|Right(_, resource, _)| *resource != OWN)
        .collect();
    account(&cluster, &cluster_role(&rights));
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let agent = agent(&cluster, &[]);
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    let said = || agent.log().matches("kind=\"ConfigMap\" code=403").count();
    assert_eq!(said(), 1, "{}", agent.log());

    // The right is given: nothing needs a restart.
    cluster.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: ingress-agent}, data: {access-log-format: 'now $status'}}");
    cluster.apply(&namespace_role("default", &[Right("", OWN, &["list", "watch"])]));
    cluster.eventually("its settings", |cluster| {
        cluster.get("shop.test", "/");
        agent.log().contains("now 200")
    });
    assert_eq!(said(), 1, "{}", agent.log());
}

#[test]
fn with_rights_in_two_namespaces_it_sees_nothing_of_a_third() {
    let cluster = Cluster::audited();
    let (own, others): (Vec<_>, Vec<_>) = RIGHTS
        .into_iter()
        .partition(|Right(_, resource, _)| *resource == OWN);
    let (cluster_wide, namespaced): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|Right(_, resource, _)| *resource == OF_NO_NAMESPACE);
    for namespace in ["a", "b", "c"] {
        cluster.kubectl(&["create", "namespace", namespace]);
        cluster.apply_in(namespace, &service("red", "10.2.0.11"));
        cluster.apply_in(namespace, &ingress("shop", &format!("{namespace}.test"), "red"));
    }
    let roles = ["a", "b"].map(|namespace| namespace_role(namespace, &namespaced));
    let roles = roles.concat() + &namespace_role("default", &own);
    account(&cluster, &(cluster_role(&cluster_wide) + &roles));
    let _agent = agent(&cluster, &["--watch-namespace", "a,b"]);
    for (namespace, status) in [("a", "200"), ("b", "200"), ("c", "404")] {
        assert_eq!(
            cluster.get(&format!("{namespace}.test"), "/").0,
            status,
            "{namespace}"
        );
    }
    cluster.apply_in("b", &ingress("new", "new.test", "red"));
    cluster.eventually("a change in b", |cluster| cluster.get("new.test", "/").0 == "200");
    for ([_, resource, verb, namespace], code) in requests(&cluster) {
        assert_ne!(code, 403, "{verb} {resource} in {namespace}");
        let is_own = resource == OWN && namespace == "default";
        let is_allowed = is_own || ["a", "b"].contains(&&*namespace) || resource == OF_NO_NAMESPACE;
        assert!(is_allowed, "{verb} {resource} in '{namespace}'");
    }
}

#[test]
fn a_namespace_that_it_may_not_read_is_told_and_the_others_are_served() {
    let cluster = Cluster::start();
    let (cluster_wide, namespaced): (Vec<_>, Vec<_>) = RIGHTS
        .into_iter()
        .partition(|Right(_, resource, _)| *resource == OF_NO_NAMESPACE);
    for namespace in ["a", "b"] {
        cluster.kubectl(&["create", "namespace", namespace]);
        cluster.apply_in(namespace, &service("red", "10.2.0.11"));
        cluster.apply_in(namespace, &ingress("shop", &format!("{namespace}.test"), "red"));
    }
    let roles = cluster_role(&cluster_wide) + &namespace_role("a", &namespaced);
    account(&cluster, &roles);
    let agent = agent(&cluster, &["--watch-namespace", "a,b"]);
    assert_eq!(cluster.get("a.test", "/").0, "200");
    assert_eq!(cluster.get("b.test", "/").0, "404");
    let log = agent.log();
    for kind in ["Ingress", "Service", "EndpointSlice", "Secret"] {
        let told = |line: &&str| {
            line.contains("may not read this kind")
                && line.contains(&format!("kind=\"{kind}\""))
                && (line.contains("namespace \"b\"") || line.contains("namespace \\\"b\\\""))
        };
        assert_eq!(log.lines().filter(told).count(), 1, "{kind}: {log}");
    }
    // The rights are given: nothing needs a restart.
    cluster.apply(&namespace_role("b", &namespaced));
    // A list that is refused is asked for less and less.
    let (time, look) = (Duration::from_secs(90), Duration::from_millis(100));
    cluster.within(time, look, "the other namespace", |cluster| {
        cluster.get("b.test", "/").0 == "200"
    });
}

/// `deploy/overlays/namespaced`, of the namespace `default`: its Roles are enough, and nothing can be read elsewhere.
#[test]
fn the_namespaced_overlay_gives_what_its_namespaces_need_and_nothing_of_others() {
    const USER: &str = "system:serviceaccount:ingress-agent:ingress-agent";
    let cluster = Cluster::audited();
    let overlay = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/overlays/namespaced");
    cluster.kubectl(&["apply", "--kustomize", overlay]);
    cluster.kubectl(&["create", "namespace", "other"]);
    cluster.apply(NODE);
    let shown = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    // Told in an Event.
    cluster.apply(&ingress("lost", "lost.test", "nowhere"));
    cluster.pair("other", "pair", "other.test");
    cluster.apply_in("other", &service("red", "10.2.0.11"));
    cluster.apply_in("other", &ingress_tls("other", "other.test", "red", "pair"));

    let may = |verb: &str, resource: &str, namespace: &str| {
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let part = format!("--subresource={part}");
        let within = format!("--namespace={namespace}");
        let asked = ["auth", "can-i", verb, resource, &part, "--as", USER, &within];
        cluster.plane.kubectl(&asked).is_ok()
    };
    for (resource, verbs) in [
        ("ingresses.networking.k8s.io", &["list", "watch"][..]),
        ("ingresses.networking.k8s.io/status", &["patch"]),
        ("services", &["list", "watch"]),
        ("endpointslices.discovery.k8s.io", &["list", "watch"]),
        ("secrets", &["get", "list", "watch"]),
        ("events.events.k8s.io", &["create"]),
    ] {
        for verb in verbs {
            assert!(may(verb, resource, "default"), "{verb} {resource}");
            assert!(!may(verb, resource, "other"), "{verb} {resource}");
        }
    }

    let api = cluster.plane.api();
    let kubeconfig = cluster
        .plane
        .account_kubeconfig("ingress-agent", "ingress-agent", api);
    let scope = [
        "--watch-namespace",
        "default",
        "--namespace",
        "ingress-agent",
        "--node",
        "node1",
    ];
    let agent = cluster.start_agent_as("agent", &kubeconfig.unwrap(), &scope);
    agent
        .wait_for_log("serving without XDP", 0, Duration::from_secs(30))
        .unwrap();
    cluster.eventually("its certificate", |cluster| cluster.shown("shop.test") == shown);
    assert_eq!(cluster.get_tls("shop.test", "/").0, "200");
    cluster.eventually("its address", |cluster| {
        let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        cluster.kubectl(&["get", "ingress", "shop", path]) == "10.2.0.1"
    });
    cluster.eventually("an Event", |cluster| {
        cluster
            .kubectl(&["get", "events", "--output=name"])
            .contains("lost")
    });
    assert_eq!(cluster.get("other.test", "/").0, "404");
    for ([_, resource, verb, namespace], code) in requests_of(&cluster, USER) {
        assert_ne!(code, 403, "{verb} {resource} in {namespace}");
        assert_ne!(namespace, "other", "{verb} {resource}");
    }

    // Where other namespaces are served than `default`, Events are still told there and in its own.
    cluster.kubectl(&["delete", "role", "ingress-agent-objects"]);
    assert!(!may("list", "services", "default"));
    for namespace in ["default", "ingress-agent"] {
        for verb in ["create", "get", "patch"] {
            assert!(
                may(verb, "events.events.k8s.io", namespace),
                "{verb} in {namespace}"
            );
        }
    }
}

/// K8-4: `a-b` with `c` and `a` with `b-c` are the same once joined by a hyphen.
#[test]
fn names_that_collide_when_joined_stay_apart() {
    let cluster = Cluster::start();
    let places = [
        ("a-b", "c", "10.2.0.11", "red"),
        ("a", "b-c", "10.2.0.12", "blue"),
    ];
    let made = places.map(|(namespace, name, address, _)| {
        let host = format!("{name}.test");
        cluster.kubectl(&["create", "namespace", namespace]);
        cluster.apply_in(namespace, &service(name, address));
        cluster.apply_in(namespace, &ingress_tls(name, &host, name, name));
        cluster.pair(namespace, name, &host)
    });
    let _agent = cluster.agent("agent");
    for ((_, name, _, pod), certificate) in places.into_iter().zip(made) {
        let host = format!("{name}.test");
        cluster.eventually("its own certificate", |cluster| {
            cluster.shown(&host) == certificate
        });
        let (status, body) = cluster.get_tls(&host, "/");
        assert_eq!(status, "200");
        assert!(body.contains(&format!("\"pod\":\"{pod}\"")), "{body}");
    }
}

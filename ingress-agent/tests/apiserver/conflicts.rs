//! Ingresses of two namespaces that claim the same host and path (K8-7): who answers depends on their age and their
//! names, never on what the agent heard of first.

use std::thread::sleep;
use std::time::Duration;

use crate::cluster::{Cluster, NODE, ingress, service};
use crate::publishing::PUBLISHING;

/// The namespaces, the pod that each one's Service has, and its address.
const NAMESPACES: [(&str, &str, &str); 2] = [("a", "red", "10.2.0.11"), ("b", "blue", "10.2.0.12")];
/// Longer than a creationTimestamp is exact.
const A_SECOND: Duration = Duration::from_millis(1100);

/// A cluster with both namespaces; the node's object is there for the agent's Lease.
fn cluster() -> Cluster {
    let cluster = Cluster::start();
    for (namespace, _, address) in NAMESPACES {
        cluster.kubectl(&["create", "namespace", namespace]);
        cluster.apply_in(namespace, &service("shop", address));
    }
    cluster.apply(NODE);
    cluster
}

/// Waits until a namespace's pod answers for a host; until then another does, and always somebody.
fn answered_by(cluster: &Cluster, host: &str, namespace: &str) {
    let pods = NAMESPACES.iter().filter(|(name, ..)| *name == namespace);
    let pods: Vec<_> = pods.map(|(_, pod, _)| format!("\"pod\":\"{pod}\"")).collect();
    cluster.eventually(&format!("{host} is {namespace}'s"), |cluster| {
        let (status, body) = cluster.get(host, "/");
        assert_eq!(status, "200", "{host}: {body}");
        pods.iter().all(|pod| body.contains(pod))
    });
}

/// When an Ingress was created, as exactly as the API server knows it.
fn age(cluster: &Cluster, namespace: &str, name: &str) -> String {
    let path = "--output=jsonpath={.metadata.creationTimestamp}";
    cluster.kubectl(&["get", "ingress", name, "--namespace", namespace, path])
}

/// What was told of an Ingress's paths that are another's.
fn told(cluster: &Cluster, namespace: &str, name: &str) -> String {
    let of_it = format!("--field-selector=involvedObject.name={name},reason=PathTaken");
    let words = "--output=jsonpath={.items[*].message}";
    cluster.kubectl(&["get", "events", "--namespace", namespace, &of_it, words])
}

#[test]
fn the_older_one_takes_a_host_also_when_it_comes_to_it_later_and_leaves_it_when_it_goes() {
    let cluster = cluster();
    cluster.apply_in("a", &ingress("old", "old.test", "shop"));
    sleep(A_SECOND);
    cluster.apply_in("b", &ingress("young", "shop.test", "shop"));
    assert!(age(&cluster, "a", "old") < age(&cluster, "b", "young"));
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    answered_by(&cluster, "shop.test", "b");
    assert_eq!(told(&cluster, "b", "young"), "");

    cluster.apply_in("a", &ingress("old", "shop.test", "shop"));
    answered_by(&cluster, "shop.test", "a");
    cluster.eventually("the loser's Event", |cluster| {
        !told(cluster, "b", "young").is_empty()
    });
    let words = told(&cluster, "b", "young");
    for part in [
        "refused: spec.rules[0].http.paths[0]",
        "host `shop.test` and path `/`, which Ingress a/old has already",
        "Ingress a/old goes first and answers these requests",
        "remove one of the two, or change its host or path",
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(told(&cluster, "a", "old"), "", "the winner has lost nothing");

    // Edited, the younger one is no older.
    cluster.kubectl(&["label", "ingress", "young", "team=b", "--namespace=b"]);
    cluster.apply_in("b", &ingress("marker", "marker.test", "shop"));
    cluster.eventually("the marker", |cluster| cluster.get("marker.test", "/").0 == "200");
    answered_by(&cluster, "shop.test", "a");

    cluster.kubectl(&["delete", "ingress", "old", "--namespace=a"]);
    answered_by(&cluster, "shop.test", "b");
    // Made anew, it is the younger one.
    sleep(A_SECOND);
    cluster.apply_in("a", &ingress("old", "shop.test", "shop"));
    cluster.eventually("the new loser's Event", |cluster| {
        told(cluster, "a", "old").contains("which Ingress b/young has already")
    });
    answered_by(&cluster, "shop.test", "b");
}

/// By namespace, then by name, the last one first.
#[test]
fn of_the_same_age_the_last_by_name_goes_first() {
    let cluster = cluster();
    let within = |namespace: &str, name: &str, host: &str| {
        ingress(name, host, "shop").replace("metadata: {", &format!("metadata: {{namespace: {namespace}, "))
    };
    // Until all come within one second.
    let mut round = 0;
    let host = loop {
        let host = format!("shop-{round}.test");
        let claims = [("a", "z"), ("b", "a"), ("b", "b")].map(|(namespace, name)| {
            let name = format!("{name}-{round}");
            (namespace, name.clone(), within(namespace, &name, &host))
        });
        let all = claims.each_ref().map(|(.., yaml)| yaml.as_str());
        cluster.apply(&all.join("---\n"));
        let ages = claims
            .each_ref()
            .map(|(namespace, name, _)| age(&cluster, namespace, name));
        if ages.iter().all(|age| *age == ages[0]) {
            break host;
        }
        round += 1;
    };
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    answered_by(&cluster, &host, "b");
    let owner = format!("which Ingress b/b-{round} has already");
    for (namespace, name) in [("a", "z"), ("b", "a")] {
        let name = format!("{name}-{round}");
        cluster.eventually("the loser's Event", |cluster| {
            told(cluster, namespace, &name).contains(&owner)
        });
    }
    for (name, next) in [("b", "b"), ("a", "a")] {
        let name = format!("{name}-{round}");
        cluster.kubectl(&["delete", "ingress", &name, "--namespace=b"]);
        answered_by(&cluster, &host, next);
    }
}

#[test]
fn an_exact_host_goes_before_a_wildcard_whichever_is_older() {
    let cluster = cluster();
    cluster.apply_in("a", &ingress("wild", "'*.one.test'", "shop"));
    cluster.apply_in("a", &ingress("exact", "x.two.test", "shop"));
    sleep(A_SECOND);
    cluster.apply_in("b", &ingress("exact", "x.one.test", "shop"));
    cluster.apply_in("b", &ingress("wild", "'*.two.test'", "shop"));
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    for (host, namespace) in [
        ("x.one.test", "b"),
        ("y.one.test", "a"),
        ("x.two.test", "a"),
        ("y.two.test", "b"),
    ] {
        answered_by(&cluster, host, namespace);
    }
    assert_eq!(
        cluster.get("x.y.one.test", "/").0,
        "404",
        "a wildcard is of one label"
    );
    for (namespace, host, then) in [("b", "x.one.test", "a"), ("a", "x.two.test", "b")] {
        cluster.kubectl(&["delete", "ingress", "exact", "--namespace", namespace]);
        answered_by(&cluster, host, then);
    }
    for (namespace, name) in [("a", "wild"), ("b", "wild")] {
        assert_eq!(told(&cluster, namespace, name), "", "no two claimed the same");
    }
}

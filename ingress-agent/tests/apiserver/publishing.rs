//! What the leader writes about Ingresses: addresses in their status, and Events.

#[path = "publishing/agent.rs"]
mod agent;
#[path = "publishing/ownership.rs"]
mod ownership;
#[path = "publishing/trouble.rs"]
mod trouble;

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, ingress};
use crate::pods::{LOOK, PATIENCE};

/// Publishes as the node `node1`, at 10.2.0.1.
const PUBLISHING: [&str; 4] = ["--node", "node1", "--namespace", "default"];

/// An Ingress's entries, addresses and host names, in their order.
fn entries(cluster: &Cluster, name: &str) -> String {
    let path = "--output=jsonpath={range .status.loadBalancer.ingress[*]}{.ip}{.hostname} {end}";
    cluster.kubectl(&["get", "ingress", name, path]).trim().to_owned()
}

/// `status.loadBalancer.ingress` as somebody else would have it.
fn write(cluster: &Cluster, name: &str, entries: &str) {
    let patch = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{entries}]}}}}}}"#);
    let arguments = [
        "patch",
        "ingress",
        name,
        "--subresource=status",
        "--type=merge",
        "--patch",
    ];
    cluster.kubectl(&[&arguments[..], &[&patch]].concat());
}

fn version(cluster: &Cluster, name: &str) -> String {
    cluster.kubectl(&[
        "get",
        "ingress",
        name,
        "--output=jsonpath={.metadata.resourceVersion}",
    ])
}

/// K8-9: only entries of ours, and one write for a change.
#[test]
fn addresses_are_added_beside_those_of_others_and_taken_away_with_the_class() {
    let cluster = Cluster::running_pods([]);
    cluster.apply(&ingress("shop", "shop.test", "shop"));
    write(
        &cluster,
        "shop",
        r#"{"hostname":"lb.example.com"},{"ip":"203.0.113.9"}"#,
    );
    let before: u64 = version(&cluster, "shop").parse().unwrap();
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    let ours = "lb.example.com 203.0.113.9 10.2.0.1";
    cluster.within(PATIENCE, LOOK, "the node's address", |cluster| {
        entries(cluster, "shop") == ours
    });
    // Somebody takes ours away: it comes back, once.
    write(&cluster, "shop", r#"{"hostname":"lb.example.com"}"#);
    cluster.within(PATIENCE, LOOK, "the address again", |cluster| {
        entries(cluster, "shop") == "lb.example.com 10.2.0.1"
    });
    let settled = version(&cluster, "shop");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        version(&cluster, "shop"),
        settled,
        "nothing is written without a change"
    );
    assert!(settled.parse::<u64>().unwrap() > before);

    let class = r#"{"spec":{"ingressClassName":"another"}}"#;
    cluster.kubectl(&["patch", "ingress", "shop", "--type=merge", "--patch", class]);
    cluster.within(PATIENCE, LOOK, "the address taken away", |cluster| {
        entries(cluster, "shop") == "lb.example.com"
    });
}

#[test]
fn what_is_refused_is_told_by_an_event_once_in_the_report_s_words() {
    let cluster = Cluster::running_pods([]);
    let wrong = ingress("shop", "shop.test", "shop").replace(
        "metadata: {name: shop}",
        "metadata: {name: shop, annotations: {nginx.ingress.kubernetes.io/auth-type: basic}}",
    );
    cluster.apply(&wrong);
    let first = cluster.agent_with("first", &PUBLISHING);
    let told = |cluster: &Cluster| {
        let path = "--output=jsonpath={range .items[?(@.reason==\"AnnotationClosed\")]}{.message}|{end}";
        cluster.kubectl(&["get", "events", path])
    };
    cluster.within(PATIENCE, LOOK, "an Event", |cluster| {
        told(cluster).contains("auth-type")
    });
    let words = told(&cluster);
    assert_eq!(words.matches('|').count(), 1, "{words}");
    assert!(words.starts_with("refused: ") && words.contains("503"), "{words}");
    let described = cluster.kubectl(&["describe", "ingress", "shop"]);
    assert!(described.contains("AnnotationClosed"), "{described}");
    let times = |cluster: &Cluster| {
        let path = "--output=jsonpath={range .items[?(@.reason==\"AnnotationClosed\")]}{.series.count}|{end}";
        cluster.kubectl(&["get", "events.events.k8s.io", path])
    };
    assert_eq!(times(&cluster), "|");
    // Another leads, and writes the same Event again, once.
    drop(first);
    let _second = cluster.agent_with("second", &PUBLISHING);
    let again = "metadata: {name: news, annotations: {nginx.ingress.kubernetes.io/auth-type: basic}}";
    cluster.apply(&ingress("news", "news.test", "shop").replace("metadata: {name: news}", again));
    cluster.within(PATIENCE, LOOK, "the second one's Event", |cluster| {
        told(cluster).matches('|').count() == 2
    });
    cluster.within(PATIENCE, LOOK, "the first one's Event, as a series", |cluster| {
        let mut times: Vec<_> = times(cluster).split('|').map(str::to_owned).collect();
        times.sort_unstable();
        times == ["", "", "2"]
    });
    let described = cluster.kubectl(&["describe", "ingress", "shop"]);
    assert!(described.contains("(x2 over "), "{described}");
    let begin = Instant::now();
    let settled = times(&cluster);
    while begin.elapsed() < Duration::from_secs(2) {
        assert_eq!(told(&cluster).matches('|').count(), 2);
        assert_eq!(times(&cluster), settled);
        std::thread::sleep(Duration::from_millis(200));
    }
}

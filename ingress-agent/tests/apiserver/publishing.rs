//! What the leader writes about Ingresses: addresses in their status, and Events.

#[path = "publishing/agent.rs"]
mod agent;
#[path = "publishing/ownership.rs"]
mod ownership;
#[path = "publishing/trouble.rs"]
mod trouble;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::cluster::{Cluster, NODE, ingress};
use crate::coordination::client;
use crate::pods::{LOOK, PATIENCE};

/// Publishes as the node `node1`, at 10.2.0.1.
pub(crate) const PUBLISHING: [&str; 4] = ["--node", "node1", "--namespace", "default"];

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
    sleep(Duration::from_secs(2));
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

/// Another controller, which writes its own entry over and over, as fast as the API server takes it. How often it was
/// told that somebody else had written meanwhile.
fn storm(cluster: &Cluster, is_over: &AtomicBool, written: &AtomicU32) -> u32 {
    let kubeconfig = cluster.plane.kubeconfig();
    let work = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(async {
            let api: Api<Ingress> = Api::namespaced(client(&kubeconfig), "default");
            let mut conflicts = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut shop = api.get_status("shop").await.unwrap();
                let status = shop.status.get_or_insert_default();
                let entries = status.load_balancer.get_or_insert_default();
                let entries = entries.ingress.get_or_insert_default();
                entries.retain(|entry| entry.hostname.is_none());
                entries.push(IngressLoadBalancerIngress {
                    hostname: Some(format!("lb-{}.test", written.load(Ordering::Relaxed))),
                    ..IngressLoadBalancerIngress::default()
                });
                match api.replace_status("shop", &PostParams::default(), &shop).await {
                    Ok(_) => _ = written.fetch_add(1, Ordering::Relaxed),
                    Err(kube::Error::Api(status)) if status.code == 409 => conflicts += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            conflicts
        }))
    };
    cluster.network().run(work).unwrap()
}

/// Ends a storm, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The answers to what the agent wrote into Ingresses' status.
fn answers(cluster: &Cluster) -> Vec<u64> {
    let log = fs::read_to_string(cluster.plane.audit_log()).unwrap();
    // The last line may be half written.
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // The other controller replaces.
    let ours = events.filter(|event| {
        event["verb"] == "patch"
            && event["objectRef"]["resource"] == "ingresses"
            && event["objectRef"]["subresource"] == "status"
    });
    ours.map(|event| event["responseStatus"]["code"].as_u64().unwrap())
        .collect()
}

/// K8-9: another controller writes the same object without end; each change of ours is one write that is taken, and
/// nobody's entry is lost.
#[test]
fn a_storm_of_conflicts_costs_one_write_for_a_change() {
    let cluster = Cluster::audited();
    cluster.apply(NODE);
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (is_over, written) = (AtomicBool::new(false), AtomicU32::new(0));
    let others = || {
        entries(&cluster, "shop")
            .split(' ')
            .filter(|entry| entry.starts_with("lb-"))
            .count()
    };
    let has_ours = || {
        entries(&cluster, "shop")
            .split(' ')
            .any(|entry| entry == "10.2.0.1")
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| storm(&cluster, &is_over, &written));
        let _over = Over(&is_over);
        let _agent = cluster.agent_with("agent", &PUBLISHING);
        cluster.within(PATIENCE, LOOK, "the node's address", |_| has_ours());
        // The storm goes on, which is no change of ours.
        let before = written.load(Ordering::Relaxed);
        sleep(Duration::from_secs(2));
        assert!(written.load(Ordering::Relaxed) > before + 20);
        assert!(has_ours() && others() == 1);
        let class = r#"{"spec":{"ingressClassName":"another"}}"#;
        cluster.kubectl(&["patch", "ingress", "shop", "--type=merge", "--patch", class]);
        cluster.within(PATIENCE, LOOK, "the address taken away", |_| !has_ours());
        is_over.store(true, Ordering::Relaxed);
        let theirs = other.join().unwrap();
        let answers = answers(&cluster);
        eprintln!("written {written:?} times, with {theirs} conflicts, and by us {answers:?}");
    });
    assert_eq!(others(), 1);
    let answers = answers(&cluster);
    assert_eq!(
        answers.iter().filter(|code| **code == 200).count(),
        2,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|code| [200, 409].contains(code)),
        "{answers:?}"
    );
}

/// Beside another controller, whose the status is.
#[test]
fn without_publishing_nothing_is_written() {
    let cluster = Cluster::audited();
    cluster.apply(NODE);
    cluster.apply(&ingress("shop", "shop.test", "red"));
    cluster.apply(&ingress("lost", "lost.test", "nowhere"));
    let silent = cluster.agent_with("silent", &[&PUBLISHING[..], &["--no-publish"]].concat());
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    // An agent that publishes would have done it by then.
    sleep(Duration::from_secs(3));
    drop(silent);
    let written = |cluster: &Cluster| {
        let of_agent = |event: &Value| event["userAgent"].as_str().is_none_or(str::is_empty);
        let events = cluster.audited_events().into_iter().filter(of_agent);
        let verbs = ["create", "update", "patch", "delete"];
        let writes = events.filter(|event| verbs.iter().any(|verb| event["verb"] == *verb));
        writes
            .map(|event| event["requestURI"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(written(&cluster), [""; 0]);
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    cluster.within(PATIENCE, LOOK, "the node's address, and an Event", |cluster| {
        let written = written(cluster);
        ["/ingresses/shop/status", "/events"]
            .iter()
            .all(|resource| written.iter().any(|uri| uri.contains(resource)))
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
        sleep(Duration::from_millis(200));
    }
}

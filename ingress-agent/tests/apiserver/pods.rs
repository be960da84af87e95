//! The pod runner: what the cluster's own controllers and clients see of Pods that are processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::pod_runner::Image;

use crate::cluster::{Cluster, deployment};

/// How long Pods may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// How often is looked.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What the Pods of these tests run.
#[test]
#[ignore = "a Pod's program: it serves until it is killed"]
fn echo() {
    if let Ok(name) = std::env::var("KUBERNETES_SERVICE_HOST").and_then(|_| std::env::var("HOSTNAME")) {
        xtask::lab::serve_as_pod(&name).unwrap();
    }
}

fn cluster() -> Cluster {
    Cluster::running_pods([("echo", Image::test("pods::echo").unwrap())])
}

/// An endpoint's conditions: ready, serving, terminating.
pub(crate) type Conditions = (bool, bool, bool);

pub(crate) const READY: Conditions = (true, true, false);
const UNREADY: Conditions = (false, false, false);
const SERVING: Conditions = (false, true, true);

/// A Service's endpoints by their Pods.
fn endpoints(cluster: &Cluster, service: &str) -> BTreeMap<String, (String, Conditions)> {
    let selector = format!("kubernetes.io/service-name={service}");
    let slices = cluster.kubectl(&[
        "get",
        "endpointslices",
        "--selector",
        &selector,
        "--output",
        "json",
    ]);
    let slices: Value = serde_json::from_str(&slices).unwrap();
    let slices = slices["items"].as_array().unwrap().iter();
    let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints
        .map(|endpoint| {
            let is = |condition: &str| endpoint["conditions"][condition] == true;
            let pod = endpoint["targetRef"]["name"].as_str().unwrap().to_owned();
            let address = endpoint["addresses"][0].as_str().unwrap().to_owned();
            (pod, (address, (is("ready"), is("serving"), is("terminating"))))
        })
        .collect()
}

/// Waits until a Service has exactly so many endpoints, all with these conditions.
pub(crate) fn wait_for(cluster: &Cluster, service: &str, count: usize, conditions: Conditions) {
    let what = format!("{count} endpoints of {service} that are {conditions:?}");
    cluster.within(PATIENCE, LOOK, &what, |cluster| {
        let endpoints = endpoints(cluster, service);
        endpoints.len() == count && endpoints.values().all(|(_, seen)| *seen == conditions)
    });
}

/// A field of the Pods of an app.
fn field(cluster: &Cluster, app: &str, path: &str) -> String {
    let path = format!("jsonpath={{{path}}}");
    cluster.kubectl(&[
        "get",
        "pods",
        "--selector",
        &format!("app={app}"),
        "--output",
        &path,
    ])
}

/// Who answers at an address: the echo's name for itself.
fn asked(cluster: &Cluster, address: &str) -> Option<String> {
    let url = format!("http://{address}:8080/");
    let arguments = ["--silent", "--noproxy", "*", "--max-time", "2", &url];
    let text = cluster.network().output("curl", &arguments).ok()?;
    let answer: Value = serde_json::from_str(&text).unwrap();
    Some(answer["pod"].as_str().unwrap().to_owned())
}

#[test]
fn a_deployment_has_an_endpoint_for_each_pod_and_none_when_it_is_scaled_to_zero() {
    let cluster = cluster();
    cluster.apply(&deployment("shop", "echo", 3, "", ""));
    wait_for(&cluster, "shop", 3, READY);
    for (pod, (address, _)) in endpoints(&cluster, "shop") {
        assert_eq!(asked(&cluster, &address), Some(pod));
    }
    let nodes = field(&cluster, "shop", ".items[*].spec.nodeName");
    assert!(
        nodes.split(' ').all(|node| ["node1", "node2"].contains(&node)),
        "{nodes}"
    );
    cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout", "30s"]);

    // A container that ends is started again.
    let process = field(
        &cluster,
        "shop",
        ".items[0].status.containerStatuses[0].containerID",
    );
    let process = process.strip_prefix("process://").unwrap();
    cluster.network().output("kill", &["-KILL", process]).unwrap();
    cluster.within(PATIENCE, LOOK, "a restart", |cluster| {
        field(
            cluster,
            "shop",
            ".items[0].status.containerStatuses[0].restartCount",
        ) == "1"
    });
    wait_for(&cluster, "shop", 3, READY);

    cluster.kubectl(&["scale", "deployment/shop", "--replicas", "0"]);
    wait_for(&cluster, "shop", 0, READY);
    cluster.within(PATIENCE, LOOK, "no Pod", |cluster| {
        field(cluster, "shop", ".items").len() <= 2
    });
}

#[test]
fn a_terminating_pod_serves_until_its_grace_period_is_over() {
    let cluster = cluster();
    let ignores = "annotations: {runner.ingress-agent.dev/ignores-TERM: 'true'}";
    cluster.apply(&deployment(
        "shop",
        "echo",
        1,
        ignores,
        "terminationGracePeriodSeconds: 5",
    ));
    wait_for(&cluster, "shop", 1, READY);
    let address = field(&cluster, "shop", ".items[0].status.podIP");
    let begin = Instant::now();
    cluster.kubectl(&["scale", "deployment/shop", "--replicas", "0"]);
    wait_for(&cluster, "shop", 1, SERVING);
    assert!(asked(&cluster, &address).is_some());
    wait_for(&cluster, "shop", 0, SERVING);
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(5), "it ended after {took:?}");
    assert_eq!(asked(&cluster, &address), None);

    // One that does not ignore it ends at once.
    cluster.apply(&deployment(
        "quick",
        "echo",
        1,
        "",
        "terminationGracePeriodSeconds: 60",
    ));
    wait_for(&cluster, "quick", 1, READY);
    cluster.kubectl(&["scale", "deployment/quick", "--replicas", "0"]);
    cluster.within(PATIENCE, LOOK, "no Pod", |cluster| {
        field(cluster, "quick", ".items").len() <= 2
    });
}

#[test]
fn a_pod_that_is_not_ready_is_no_ready_endpoint() {
    let cluster = cluster();
    let script = |annotation: &str| format!("annotations: {{runner.ingress-agent.dev/{annotation}}}");
    // What its probe says.
    let file = cluster.directory("healthy");
    std::fs::write(&file, "").unwrap();
    let probed = deployment("probed", "echo", 1, "", "").replace(
        "tcpSocket: {port: 8080}",
        &format!(
            "failureThreshold: 1, exec: {{command: [test, -e, {}]}}",
            file.display()
        ),
    );
    cluster.apply(&probed);
    cluster.apply(&deployment("slow", "echo", 1, &script("slow-ready: '6'"), ""));
    cluster.apply(&deployment(
        "dead",
        "echo",
        1,
        &script("dies-at-once: 'true'"),
        "",
    ));
    cluster.apply(&deployment("moody", "echo", 1, &script("unready: 'true'"), ""));
    let asked = deployment("asked", "echo", 1, "", "").replace("tcpSocket: {", "httpGet: {path: /, ");
    cluster.apply(&asked);
    let lost = deployment("lost", "nowhere", 1, "", "");
    cluster.apply(&lost);

    wait_for(&cluster, "slow", 1, UNREADY);
    let unready = Instant::now();
    wait_for(&cluster, "probed", 1, READY);
    wait_for(&cluster, "asked", 1, READY);
    wait_for(&cluster, "moody", 1, UNREADY);
    std::fs::remove_file(&file).unwrap();
    wait_for(&cluster, "probed", 1, UNREADY);
    std::fs::write(&file, "").unwrap();
    wait_for(&cluster, "probed", 1, READY);

    wait_for(&cluster, "slow", 1, READY);
    assert!(
        unready.elapsed() > Duration::from_secs(3),
        "{:?}",
        unready.elapsed()
    );

    let heal = [
        "annotate",
        "pods",
        "--selector",
        "app=moody",
        "runner.ingress-agent.dev/unready-",
    ];
    cluster.kubectl(&heal);
    wait_for(&cluster, "moody", 1, READY);

    cluster.within(PATIENCE, LOOK, "three restarts", |cluster| {
        let restarts = field(
            cluster,
            "dead",
            ".items[0].status.containerStatuses[0].restartCount",
        );
        restarts.parse().is_ok_and(|restarts: u32| restarts >= 3)
    });
    wait_for(&cluster, "dead", 1, UNREADY);

    let waiting = ".items[0].status.containerStatuses[0].state.waiting.message";
    assert_eq!(field(&cluster, "lost", waiting), "there is no image nowhere here");
}

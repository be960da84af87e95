//! What `kubectl` does is what clients see.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, ingress, service};

#[test]
fn an_ingress_that_kubectl_makes_moves_and_deletes() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let _agent = cluster.agent("agent");
    let (status, body) = cluster.get("shop.test", "/");
    assert_eq!(status, "200");
    assert!(body.contains("\"pod\":\"red\""), "{body}");

    cluster.apply(&ingress("shop", "shop.test", "blue"));
    cluster.eventually("blue answers", |cluster| {
        let (status, body) = cluster.get("shop.test", "/");
        assert_eq!(status, "200", "no other code than 200 while it moves");
        body.contains("\"pod\":\"blue\"")
    });

    // The pod behind the Service is another one.
    cluster.apply(&service("blue", "10.2.0.11"));
    cluster.eventually("red answers for blue", |cluster| {
        let (status, body) = cluster.get("shop.test", "/");
        assert_eq!(status, "200");
        body.contains("\"pod\":\"red\"")
    });

    cluster.kubectl(&["delete", "ingress", "shop"]);
    cluster.eventually("404", |cluster| cluster.get("shop.test", "/").0 == "404");
}

#[test]
fn an_ingress_of_another_class_is_served_once_it_is_ours() {
    let cluster = Cluster::start();
    let _agent = cluster.agent("agent");
    let ours = ingress("shop", "shop.test", "red");
    let others = ours.replace("ingressClassName: xdp", "ingressClassName: nginx");
    cluster.apply(&others);
    cluster.apply(&ingress("marker", "marker.test", "red"));
    cluster.eventually("the marker", |cluster| cluster.get("marker.test", "/").0 == "200");
    assert_eq!(cluster.get("shop.test", "/").0, "404");
    cluster.apply(&ours);
    cluster.eventually("ours", |cluster| cluster.get("shop.test", "/").0 == "200");
    cluster.apply(&others);
    cluster.eventually("others'", |cluster| cluster.get("shop.test", "/").0 == "404");
}

#[test]
fn the_objects_of_ingress_nginx_are_taken_over_with_the_flag() {
    let cluster = Cluster::start();
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: edge}\n\
         spec: {controller: k8s.io/ingress-nginx}\n",
    );
    let pair = cluster.pair("default", "pair", "shop.test");
    let theirs = ingress("shop", "shop.test", "red")
        .replace("ingressClassName: xdp", "ingressClassName: edge")
        .replace("pathType: Prefix", "pathType: ImplementationSpecific");
    let tls = "\x20 tls: [{hosts: [shop.test], secretName: pair}]\n";
    cluster.apply(&(theirs + tls));
    let _agent = cluster.agent_with("agent", &["--take-over-ingress-nginx"]);
    cluster.eventually("https", |cluster| cluster.get_tls("shop.test", "/").0 == "200");
    assert_eq!(cluster.shown("shop.test"), pair);
    assert_eq!(cluster.get("shop.test", "/").0, "308");
    // The older way to name a class, where no IngressClass has that name.
    let annotated = ingress("old", "old.test", "blue")
        .replace("  ingressClassName: xdp\n", "")
        .replace(
            "{name: old}",
            "{name: old, annotations: {kubernetes.io/ingress.class: nginx}}",
        );
    cluster.apply(&annotated);
    cluster.eventually("the annotated one", |cluster| {
        cluster.get("old.test", "/").0 == "200"
    });
    cluster.kubectl(&["delete", "ingressclass", "edge"]);
    cluster.eventually("404 without its class", |cluster| {
        cluster.get("shop.test", "/").0 == "404"
    });
    assert_eq!(cluster.get("old.test", "/").0, "200");
}

/// A minute of what an idle cluster is told: heartbeats of agents, of which one leads, status writes, watches that end
/// and begin anew; and a label and a note, which are nobody's business here.
#[test]
fn nothing_is_recomputed_in_an_idle_minute() {
    let cluster = Cluster::running_pods([]);
    cluster.apply(&ingress("shop", "shop.test", "shop"));
    let publishing = ["--namespace", "default", "--node"];
    let first = [&publishing[..], &["node1"]].concat();
    let second = [&publishing[..], &["node2", "--listen", "127.0.0.1:8090"]].concat();
    let _agents = [
        cluster.agent_with("first", &first),
        cluster.agent_with("second", &second),
    ];
    let leases = |path: &str| {
        let path = format!("--output=jsonpath={{range .items[*]}}{path} {{end}}");
        cluster.kubectl(&["get", "leases", "--selector=ingress-agent.dev/lease=node", &path])
    };
    let numbers = r"{.metadata.annotations.ingress-agent\.dev/number}";
    cluster.eventually("numbers", |_| leases(numbers).split_whitespace().count() == 2);
    let address = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
    cluster.eventually("its address", |cluster| {
        !cluster.kubectl(&["get", "ingress", "shop", address]).is_empty()
    });
    let snapshots =
        || ["first", "second"].map(|agent| cluster.metric(agent, "ingress_agent_snapshots_total"));
    // What the number and the address brought with them is done.
    std::thread::sleep(Duration::from_secs(2));
    let (before, beats) = (snapshots(), leases("{.spec.renewTime}"));
    assert!(before.iter().all(|count| *count > 0));

    let begin = Instant::now();
    cluster.kubectl(&["label", "ingress", "shop", "team=a"]);
    let status = |host: &str| {
        let entry =
            format!("{{\"status\":{{\"loadBalancer\":{{\"ingress\":[{{\"hostname\":\"{host}\"}}]}}}}}}");
        let patch = [
            "patch",
            "ingress",
            "shop",
            "--subresource=status",
            "--type=merge",
            "--patch",
        ];
        cluster.kubectl(&[&patch[..], &[&entry]].concat());
    };
    for host in ["a.example.com", "b.example.com"] {
        status(host);
        std::thread::sleep(Duration::from_secs(28));
    }
    cluster.kubectl(&["annotate", "ingressclass", "xdp", "note=b"]);
    std::thread::sleep(Duration::from_secs(60).saturating_sub(begin.elapsed()));
    assert_eq!(snapshots(), before, "after {:?}", begin.elapsed());
    assert_ne!(leases("{.spec.renewTime}"), beats);

    cluster.apply(&ingress("new", "new.test", "shop"));
    cluster.eventually("the new host", |cluster| cluster.get("new.test", "/").0 == "503");
    assert!(
        snapshots().iter().zip(before).all(|(now, before)| *now > before),
        "a change is counted"
    );
}

/// Runs an agent that is to refuse; what it says.
fn refusal(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(["run", "--source", "kube"])
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_had_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().to_str().unwrap();
    let no_server = refusal(&["--no-xdp", "--listen", "127.0.0.1:18080", "--run-dir", run]);
    assert!(no_server.contains("no API server is known"), "{no_server}");
    assert!(no_server.contains("KUBECONFIG"), "{no_server}");
}

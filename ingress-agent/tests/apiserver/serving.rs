//! What `kubectl` does is what clients see.

use std::fs;
use std::process::Command;
use std::time::Duration;

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
    let pair = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = format!("--cert={}", file("tls.crt", &pair.cert.pem()));
    let key = format!("--key={}", file("tls.key", &pair.signing_key.serialize_pem()));
    cluster.kubectl(&["create", "secret", "tls", "pair", &certificate, &key]);
    let theirs = ingress("shop", "shop.test", "red")
        .replace("ingressClassName: xdp", "ingressClassName: edge")
        .replace("pathType: Prefix", "pathType: ImplementationSpecific");
    let tls = "\x20 tls: [{hosts: [shop.test], secretName: pair}]\n";
    cluster.apply(&(theirs + tls));
    let _agent = cluster.agent_with("agent", &["--take-over-ingress-nginx"]);
    cluster.eventually("https", |cluster| cluster.get_tls("shop.test", "/").0 == "200");
    assert!(cluster.shown("shop.test").contains("rcgen self signed cert"));
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

#[test]
fn a_secret_is_read_when_an_ingress_names_it_and_rotates() {
    let cluster = Cluster::start();
    let _agent = cluster.agent("agent");
    let directory = tempfile::tempdir().unwrap();
    let put = |replace: bool| {
        let pair = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let certificate = format!("--cert={}", file("tls.crt", &pair.cert.pem()));
        let key = format!("--key={}", file("tls.key", &pair.signing_key.serialize_pem()));
        let make = ["create", "secret", "tls", "pair", &certificate, &key];
        if replace {
            let yaml = cluster.kubectl(&[&make[..], &["--dry-run=client", "--output=yaml"]].concat());
            cluster.apply(&yaml);
        } else {
            cluster.kubectl(&make);
        }
        file("authority.pem", &pair.cert.pem())
    };
    put(false);
    let tls = "\x20 tls: [{hosts: [shop.test], secretName: pair}]\n";
    cluster.apply(&(ingress("shop", "shop.test", "red") + tls));
    cluster.eventually("https", |cluster| cluster.get_tls("shop.test", "/").0 == "200");
    let first = cluster.shown("shop.test");
    assert!(first.contains("rcgen self signed cert"), "{first}");
    put(true);
    cluster.eventually("another certificate", |cluster| {
        cluster.shown("shop.test") != first
    });
}

#[test]
fn nothing_is_recomputed_while_nothing_changes() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let agent = cluster.agent("agent");
    let in_effect = |log: String| log.matches("in effect").count();
    let before = in_effect(agent.log());
    // A label and a status are nobody's business here; and a watch ends and begins anew meanwhile.
    cluster.kubectl(&["label", "ingress", "shop", "team=a"]);
    std::thread::sleep(Duration::from_secs(28));
    cluster.kubectl(&["annotate", "service", "red", "note=b"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(in_effect(agent.log()), before, "{}", agent.log());
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
    let with_xdp = refusal(&["--interface", "lo", "--run-dir", run]);
    assert!(with_xdp.contains("--no-xdp --listen"), "{with_xdp}");
}

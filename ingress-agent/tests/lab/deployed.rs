//! `deploy/base` as a user has it: applied by kubectl, with the agents as Pods of the image, and asked by curl. The pod
//! runner applies no seccomp profile.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use xtask::image::{ENTRYPOINT, Program, unpack};
use xtask::lab::{Connections, End, NIC, Traffic, VIP_V4, VIP_V6, node_addresses};
use xtask::pod_runner::Image;

use super::cluster::{Cluster, PATIENCE};

/// Of a host without a certificate: those with one are sent on to https.
const URL: &str = "http://plain.test/";
const TLS_URL: &str = "https://shop.test/";

/// What the Deployment's Pods run.
#[test]
#[ignore = "a Pod's program: it serves until it is killed"]
fn echo() {
    if let Ok(name) = std::env::var("KUBERNETES_SERVICE_HOST").and_then(|_| std::env::var("HOSTNAME")) {
        xtask::lab::serve_as_pod(&name).unwrap();
    }
}

/// The image's files last as long as its Pods.
pub(crate) struct Deployed {
    pub(crate) cluster: Cluster,
    _files: TempDir,
}

impl Deployed {
    /// Applies `deploy/base`, a pool, and a shop with a certificate, and waits until it serves on its VIPs.
    pub(crate) fn start(audited: bool) -> Option<Self> {
        let files = tempfile::tempdir().unwrap();
        unpack(&Program::build("dev").unwrap(), files.path()).unwrap();
        let images = [
            (IMAGE, Image::root(files.path(), ENTRYPOINT)),
            ("echo", Image::test("deployed::echo").unwrap()),
        ];
        let cluster = Cluster::bare(audited, images)?;
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/base");
        cluster.kubectl(&["apply", "--kustomize", base]);
        let wait = [
            "wait",
            "--for=condition=Established",
            "crd/vippools.ingress-agent.dev",
        ];
        cluster.kubectl(&wait);
        cluster.apply(POOL);
        let deployed = Self {
            cluster,
            _files: files,
        };
        deployed.certify();
        deployed.cluster.apply(SHOP);
        deployed.cluster.apply(INGRESS);
        deployed.is_rolled("deployment/shop", "default");
        deployed.is_rolled("daemonset/ingress-agent", "ingress-agent");
        deployed.serves();
        Some(deployed)
    }

    /// Makes the shop's Secret.
    fn certify(&self) {
        let pair = generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
        let directory = self.cluster.lab.directory();
        let (certificate, key) = (directory.join("shop.crt"), directory.join("shop.key"));
        std::fs::write(&certificate, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let (certificate, key) = (
            format!("--cert={}", certificate.display()),
            format!("--key={}", key.display()),
        );
        self.cluster
            .kubectl(&["create", "secret", "tls", "shop", &certificate, &key]);
    }

    pub(crate) fn is_rolled(&self, what: &str, namespace: &str) {
        let status = [
            "rollout",
            "status",
            what,
            "--timeout=60s",
            "--namespace",
            namespace,
        ];
        let done = self.cluster.plane.kubectl(&status);
        if done.is_err() {
            eprintln!(
                "{}",
                self.cluster
                    .kubectl(&["get", "pods", "--all-namespaces", "--output=yaml"])
            );
        }
        done.unwrap();
    }

    /// The status of curl's answer; 0: none.
    fn status(&self, vip: IpAddr, url: &str) -> u16 {
        let authority = self
            .cluster
            .lab
            .directory()
            .join("shop.crt")
            .display()
            .to_string();
        let arguments = ["--cacert", &authority, "--max-time", "2"];
        let answer = self.cluster.lab.client().curl(vip, url, &arguments);
        answer.map_or(0, |answer| answer.status)
    }

    /// Waits until the VIPs are in the Ingress's status and answer.
    fn serves(&self) {
        let both = format!("{VIP_V4} {VIP_V6}");
        self.cluster.eventually("the address in the status", |cluster| {
            cluster.addresses("shop") == both
        });
        for vip in [VIP_V4, VIP_V6] {
            for url in [URL, TLS_URL] {
                self.cluster.eventually(url, |_| self.status(vip, url) == 200);
            }
        }
    }

    /// The names of the shop's Pods, as the API server has them.
    fn pods(&self) -> BTreeSet<String> {
        let path = "--output=jsonpath={.items[*].metadata.name}";
        let names = self
            .cluster
            .kubectl(&["get", "pods", "--selector=app=shop", path]);
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// Whether a node's kernel has a program on the NIC, routes of ours, and pins.
    fn is_held(&self, number: u8) -> [bool; 3] {
        let lab = &self.cluster.lab;
        let node = lab.node(number).unwrap();
        let link = node.output("ip", &["link", "show", NIC]).unwrap();
        let routes = ["route", "show", "table", "all", "proto", "116"];
        let routes = node.output("ip", &routes).unwrap();
        let pins = format!("bpf/node{number}/ingress");
        [
            link.contains("xdp"),
            !routes.trim().is_empty(),
            lab.directory().join(pins).exists(),
        ]
    }

    /// Waits until exactly the shop's so many Pods answer.
    fn answered_by(&self, count: usize) {
        self.cluster.eventually("answers of the shop's Pods", |cluster| {
            let pods = self.pods();
            let echo = |_| cluster.lab.client().echo(VIP_V4, URL).map(|echo| echo.pod);
            let seen: Result<BTreeSet<_>, _> = (0..10 * count).map(echo).collect();
            pods.len() == count && seen.is_ok_and(|seen| seen == pods)
        });
    }
}

#[test]
fn kubectl_and_curl_are_all_that_it_takes() {
    let Some(deployed) = Deployed::start(false) else {
        return;
    };
    let cluster = &deployed.cluster;
    deployed.answered_by(2);
    cluster.kubectl(&["scale", "deployment/shop", "--replicas=4"]);
    deployed.is_rolled("deployment/shop", "default");
    deployed.answered_by(4);
    let before = deployed.pods();
    cluster.kubectl(&["rollout", "restart", "deployment/shop"]);
    deployed.is_rolled("deployment/shop", "default");
    deployed.answered_by(4);
    assert!(before.is_disjoint(&deployed.pods()));

    // The class keeps its address.
    cluster.kubectl(&["delete", "ingress", "shop"]);
    for vip in [VIP_V4, VIP_V6] {
        cluster.eventually("404", |_| deployed.status(vip, URL) == 404);
    }
    let path = "--output=jsonpath={.status.assignments[*].address}";
    let kept = cluster.kubectl(&["get", "vippool", "edge", path]);
    assert_eq!(kept, format!("{VIP_V4} {VIP_V6}"));
    cluster.apply(INGRESS);
    deployed.serves();

    cluster.kubectl(&["delete", "vippool", "edge"]);
    for vip in [VIP_V4, VIP_V6] {
        cluster.eventually("the address withdrawn", |cluster| {
            let addresses = cluster.addresses("shop");
            !addresses.split(' ').any(|address| address == vip.to_string()) && deployed.status(vip, URL) == 0
        });
    }
    for own in (1..=3).flat_map(node_addresses) {
        cluster.eventually("an answer at a node's own ports", |_| {
            [URL, TLS_URL].iter().all(|url| deployed.status(own, url) == 200)
        });
    }
}

#[test]
fn a_rolling_update_of_the_agents_fails_no_request() {
    let Some(deployed) = Deployed::start(false) else {
        return;
    };
    let cluster = &deployed.cluster;
    let pods = |cluster: &Cluster| {
        let path = "--output=jsonpath={.items[*].metadata.uid}";
        let pods = cluster.kubectl(&["get", "pods", "--namespace=ingress-agent", path]);
        pods.split_whitespace()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let before = pods(cluster);
    let client = cluster.lab.client();
    let traffic = [VIP_V4, VIP_V6].map(|vip| Traffic::start(client, vip, URL).unwrap());
    let pace = Duration::from_millis(100);
    let kept = [VIP_V4, VIP_V6].map(|vip| {
        let to = SocketAddr::new(vip, 80);
        Connections::open(client, to, "plain.test", 60, pace).unwrap()
    });
    let agents = "daemonset/ingress-agent";
    cluster.kubectl(&["rollout", "restart", agents, "--namespace=ingress-agent"]);
    deployed.is_rolled(agents, "ingress-agent");
    for node in 1..=3 {
        let asked = (VIP_V4, "plain.test", "/");
        client.first_answer_by(node, asked, PATIENCE).unwrap();
    }
    for traffic in traffic {
        let sent = traffic.stop().unwrap();
        eprintln!("{sent:?}");
        assert!(sent.sent > 100 && sent.failed == 0, "{sent:?}");
    }
    for held in kept.into_iter().flat_map(|kept| kept.close().unwrap()) {
        // Told to ask again elsewhere, with no request under way.
        let is_well = held.answered > 0 && held.end.as_ref().is_none_or(|end| *end == End::Closed);
        assert!(is_well, "{held:?}");
    }
    let after = pods(cluster);
    assert!(before.is_disjoint(&after) && after.len() == 3, "{after:?}");
}

#[test]
fn the_way_out_leaves_nothing_on_the_nodes() {
    let Some(deployed) = Deployed::start(false) else {
        return;
    };
    let cluster = &deployed.cluster;
    assert!((1..=3).all(|number| deployed.is_held(number) == [true; 3]));
    let way_out = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/overlays/unload");
    cluster.kubectl(&["apply", "--kustomize", way_out]);
    deployed.is_rolled("daemonset/ingress-agent", "ingress-agent");
    assert!((1..=3).all(|number| deployed.is_held(number) == [false; 3]));
    cluster.kubectl(&["delete", "--kustomize", way_out]);
}

/// As `deploy/base` names it.
const IMAGE: &str = "localhost/ingress-agent:0.1.0";

const POOL: &str = "\
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [192.0.2.10, '2001:db8:1::10'], classes: [ingress-agent]}
";

const SHOP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: shop
        image: echo
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: ingress-agent
  tls: [{hosts: [shop.test], secretName: shop}]
  rules:
  - host: plain.test
    http: &shop {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}
  - host: shop.test
    http: *shop
";

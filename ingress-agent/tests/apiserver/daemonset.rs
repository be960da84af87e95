//! `deploy/overlays/no-xdp` as a DaemonSet's Pods: what their processes have and have not. The base, with XDP, is in
//! `lab/deployed.rs`. The pod runner applies no seccomp profile.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xtask::pod_runner::Image;

use crate::cluster::{Cluster, deployment, ingress};
use crate::pods::{LOOK, PATIENCE, READY, wait_for};

/// Ordinary listeners on each node: what needs no XDP here.
const OVERLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/overlays/no-xdp");
/// As `deploy/base` names it.
const IMAGE: &str = "localhost/ingress-agent:0.1.0";
/// In which `deploy/base` is.
const NAMESPACE: &str = "--namespace=ingress-agent";

/// CAP_NET_BIND_SERVICE of linux/capability.h.
const NET_BIND_SERVICE: u64 = 1 << 10;

/// An image's files: the agent, and the libraries that it was built to use.
fn files() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_ingress-agent");
    fs::copy(program, directory.path().join("ingress-agent")).unwrap();
    let libraries = Command::new("ldd").arg(program).output().unwrap().stdout;
    let libraries = String::from_utf8(libraries).unwrap();
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = directory.path().join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
    directory
}

/// A line of `/proc/PID/status`.
fn status(process: &Path, key: &str) -> String {
    let text = fs::read_to_string(process.join("status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap().trim().to_owned()
}

/// A field of the agents' Pods.
fn of_pods(cluster: &Cluster, path: &str) -> String {
    cluster.kubectl(&["get", "pods", NAMESPACE, &format!("--output=jsonpath={{{path}}}")])
}

fn is_rolled(cluster: &Cluster) {
    cluster.kubectl(&[
        "rollout",
        "status",
        "daemonset/ingress-agent",
        NAMESPACE,
        "--timeout=60s",
    ]);
}

#[test]
fn the_agent_runs_on_every_node_with_its_service_account_and_no_right_more() {
    let files = files();
    let cluster = Cluster::running_pods([
        (IMAGE, Image::root(files.path(), "/ingress-agent")),
        ("echo", Image::test("pods::echo").unwrap()),
    ]);
    cluster.kubectl(&["apply", "--kustomize", OVERLAY]);
    cluster.apply(&deployment("shop", "echo", 2, "", ""));
    let class = "ingressClassName: ingress-agent";
    cluster.apply(&ingress("shop", "shop.test", "shop").replace("ingressClassName: xdp", class));
    wait_for(&cluster, "shop", 2, READY);
    let serves = |cluster: &Cluster, node: &str| {
        let url = format!("http://{node}/");
        let asked = [
            "--silent",
            "--fail",
            "--noproxy",
            "*",
            "--header",
            "Host: shop.test",
            &url,
        ];
        cluster.network().output("curl", &asked).is_ok()
    };
    let nodes = ["10.2.0.1", "10.2.0.2"];
    for node in nodes {
        cluster.within(PATIENCE, LOOK, node, |cluster| serves(cluster, node));
    }
    is_rolled(&cluster);
    cluster.within(PATIENCE, LOOK, "the nodes' addresses in the status", |cluster| {
        let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        let told = cluster.kubectl(&["get", "ingress", "shop", path]);
        let mut told: Vec<_> = told.split_whitespace().collect();
        told.sort_unstable();
        told == nodes
    });
    let before = of_pods(&cluster, ".items[*].metadata.uid");
    assert_eq!(before.split(' ').count(), nodes.len(), "{before}");

    let id = of_pods(&cluster, ".items[0].status.containerStatuses[0].containerID");
    let process = Path::new("/proc").join(id.strip_prefix("process://").unwrap());
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        let held = u64::from_str_radix(&status(&process, set), 16).unwrap();
        assert_eq!(held, NET_BIND_SERVICE, "{set}");
    }
    assert_eq!(status(&process, "CapInh"), "0".repeat(16));
    assert_eq!(status(&process, "NoNewPrivs"), "1");
    assert_eq!(
        status(&process, "Seccomp"),
        "0",
        "the runner applies no seccomp profile"
    );
    let mounts = fs::read_to_string(process.join("mounts")).unwrap();
    let mounted = |point: &str, kind: Option<&str>, option: &str| {
        let fits = |line: &str| {
            let mut words = line.split(' ').skip(1);
            words.next() == Some(point)
                && words
                    .next()
                    .is_some_and(|seen| kind.is_none_or(|kind| seen == kind))
                && words
                    .next()
                    .is_some_and(|options| options.split(',').any(|seen| seen == option))
        };
        assert!(mounts.lines().any(fits), "{point} {option}:\n{mounts}");
    };
    mounted("/", None, "ro");
    mounted("/run/ingress-agent", Some("tmpfs"), "rw");
    mounted("/var/lib/ingress-agent", None, "rw");
    mounted("/proc/sys", Some("proc"), "ro");
    mounted("/sys", Some("sysfs"), "ro");
    mounted("/var/run/secrets/kubernetes.io/serviceaccount", None, "ro");

    // Another after another, each with what its node kept.
    cluster.kubectl(&["rollout", "restart", "daemonset/ingress-agent", NAMESPACE]);
    is_rolled(&cluster);
    let after = of_pods(&cluster, ".items[*].metadata.uid");
    assert!(
        after.split(' ').all(|pod| !before.contains(pod)),
        "{before}; {after}"
    );
    for node in nodes {
        cluster.within(PATIENCE, LOOK, node, |cluster| serves(cluster, node));
    }
}

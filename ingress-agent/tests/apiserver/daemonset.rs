//! The agent as a DaemonSet's Pods, in an image of its own, with its ServiceAccount. The pod runner applies no seccomp
//! profile.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use xtask::pod_runner::Image;

use crate::cluster::{Cluster, deployment, ingress};
use crate::pods::{LOOK, PATIENCE, READY, field, wait_for};

const AGENT: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      serviceAccountName: agent
      hostNetwork: true
      nodeSelector: {kubernetes.io/os: linux}
      containers:
      - name: agent
        image: agent
        args: [run, --source, kube, --no-xdp, --no-publish, --node, $(NODE), --listen, '$(ADDRESS):80', --drain-timeout, 1s]
        env:
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
        securityContext:
          runAsUser: 0
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          seccompProfile: {type: RuntimeDefault}
          capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
        readinessProbe: {exec: {command: [/ingress-agent, --version]}, periodSeconds: 1, timeoutSeconds: 5}
        volumeMounts:
        - {name: run, mountPath: /run/ingress-agent}
        - {name: state, mountPath: /var/lib/ingress-agent}
      volumes:
      - {name: run, emptyDir: {medium: Memory}}
      - {name: state, hostPath: {path: /var/lib/ingress-agent, type: DirectoryOrCreate}}
";

const RIGHTS: [&str; 5] = [
    "create",
    "clusterrole",
    "agent",
    "--verb=get,list,watch",
    "--resource=ingresses.networking.k8s.io,ingressclasses.networking.k8s.io,services,endpointslices.discovery.k8s.io,secrets",
];

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

#[test]
fn the_agent_runs_on_every_node_with_its_service_account_and_no_right_more() {
    let files = files();
    let cluster = Cluster::running_pods([
        ("agent", Image::root(files.path(), "/ingress-agent")),
        ("echo", Image::test("pods::echo").unwrap()),
    ]);
    cluster.kubectl(&RIGHTS);
    let bind = ["--clusterrole=agent", "--serviceaccount=default:agent"];
    cluster.kubectl(&[&["create", "clusterrolebinding", "agent"], &bind[..]].concat());
    cluster.apply(&deployment("shop", "echo", 2, "", ""));
    cluster.apply(&ingress("shop", "shop.test", "shop"));
    cluster.apply(AGENT);
    wait_for(&cluster, "shop", 2, READY);
    let serves = |cluster: &Cluster, node: &str| {
        let url = format!("http://{node}/");
        let arguments = [
            "--silent",
            "--fail",
            "--noproxy",
            "*",
            "--header",
            "Host: shop.test",
            &url,
        ];
        cluster.network().output("curl", &arguments).is_ok()
    };
    for node in ["10.2.0.1", "10.2.0.2"] {
        cluster.within(PATIENCE, LOOK, node, |cluster| serves(cluster, node));
    }
    cluster.kubectl(&["rollout", "status", "daemonset/agent", "--timeout", "45s"]);
    let addresses = field(&cluster, "agent", ".items[*].status.podIP");
    assert_eq!(addresses.split(' ').count(), 2, "{addresses}");

    let id = field(
        &cluster,
        "agent",
        ".items[0].status.containerStatuses[0].containerID",
    );
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
    cluster.kubectl(&["rollout", "restart", "daemonset/agent"]);
    cluster.kubectl(&["rollout", "status", "daemonset/agent", "--timeout", "60s"]);
    for node in ["10.2.0.1", "10.2.0.2"] {
        cluster.within(PATIENCE, LOOK, node, |cluster| serves(cluster, node));
    }
}

//! A control plane and pods in a namespace of their own, and agents beside them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xtask::control_plane::{Binaries, Place, Plane};
use xtask::lab::{Namespace, Pod, Process, Scratch, pod_network};

/// How long what is to come may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Dropped, and so ended, in this order.
pub(crate) struct Cluster {
    pub(crate) plane: Plane,
    _pods: Vec<Pod>,
    network: Namespace,
    scratch: Arc<Scratch>,
}

impl Cluster {
    /// With two pods, `red` at 10.2.0.11 and `blue` at 10.2.0.12, and a Service of that name for each.
    pub(crate) fn start() -> Self {
        let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
        let scratch = Arc::new(Scratch::begin().unwrap());
        let network = pod_network(scratch.namespace("cluster").unwrap()).unwrap();
        let pods = [("red", 11), ("blue", 12)];
        let pods = pods.map(|(name, last)| Pod::start(&network, name, last).unwrap());
        let place = Place {
            namespace: Some(network.clone()),
            ..Place::default()
        };
        let plane = Plane::start(&scratch, binaries, place, false).unwrap();
        let cluster = Self {
            plane,
            _pods: pods.into(),
            network,
            scratch,
        };
        cluster.apply(CLASS);
        cluster.apply(&service("red", "10.2.0.11"));
        cluster.apply(&service("blue", "10.2.0.12"));
        cluster
    }

    pub(crate) fn apply(&self, yaml: &str) {
        self.plane.kubectl_with(&["apply", "-f", "-"], yaml).unwrap();
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.kubectl(arguments).unwrap()
    }

    /// Starts an agent without XDP on ports 8080 and 8443, and waits until it serves.
    pub(crate) fn agent(&self, name: &str) -> Process {
        self.agent_with(name, &[])
    }

    /// The same with more flags.
    pub(crate) fn agent_with(&self, name: &str, flags: &[&str]) -> Process {
        let agent = self.start_agent(name, flags);
        agent.wait_for_log("serving without XDP", 0, PATIENCE).unwrap();
        agent
    }

    /// Starts an agent and waits for nothing.
    pub(crate) fn start_agent(&self, name: &str, flags: &[&str]) -> Process {
        let own = |what: &str| self.directory(&format!("{name}-{what}"));
        self.start_agent_in(name, &own("run"), &own("state"), flags)
    }

    /// A place for what an agent keeps, on a disk.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.scratch.directory().join(name)
    }

    /// Starts an agent with these directories and further flags, and waits for nothing.
    pub(crate) fn start_agent_in(&self, name: &str, run: &Path, state: &Path, flags: &[&str]) -> Process {
        let mut command = self.network.command(env!("CARGO_BIN_EXE_ingress-agent"));
        command
            .args([
                "run",
                "--source",
                "kube",
                "--no-xdp",
                "--workers",
                "2",
                "--drain-timeout",
                "1s",
            ])
            .args([
                "--listen",
                "127.0.0.1:8080",
                "--tls-listen",
                "127.0.0.1:8443",
                "--run-dir",
            ])
            .arg(run)
            .arg("--state-dir")
            .arg(state)
            .args(flags)
            .env("KUBECONFIG", self.plane.kubeconfig())
            .env("NO_COLOR", "1");
        self.scratch.start(name, &mut command).unwrap()
    }

    /// Asks the agent: the status, `000` where it does not answer, and the body.
    pub(crate) fn get(&self, host: &str, path: &str) -> (String, String) {
        let url = format!("http://127.0.0.1:8080{path}");
        let host = format!("Host: {host}");
        self.curl(&["--header", &host, &url])
    }

    /// The same over TLS, without a look at the certificate's issuer.
    pub(crate) fn get_tls(&self, host: &str, path: &str) -> (String, String) {
        let url = format!("https://{host}:8443{path}");
        let at = format!("{host}:8443:127.0.0.1");
        self.curl(&["--insecure", "--resolve", &at, &url])
    }

    /// The certificate that a server name is shown.
    pub(crate) fn shown(&self, host: &str) -> String {
        let url = format!("https://{host}:8443/");
        let at = format!("{host}:8443:127.0.0.1");
        let mut command = self.network.command("curl");
        let output = command
            .args([
                "--silent",
                "--insecure",
                "--resolve",
                &at,
                "--output",
                "/dev/null",
            ])
            .args(["--write-out", "%{certs}", &url])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn curl(&self, arguments: &[&str]) -> (String, String) {
        let mut command: Command = self.network.command("curl");
        let output = command
            .args(["--silent", "--max-time", "10", "--write-out", "\n%{http_code}"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }

    /// Waits until something holds.
    pub(crate) fn eventually(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < until, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An IngressClass of ours.
const CLASS: &str = "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: xdp}
spec: {controller: ingress-agent.dev/xdp}
";

/// A Service without a selector, and the slice of its one pod.
pub(crate) fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Service\n\
         metadata: {{name: {name}}}\n\
         spec: {{ports: [{{port: 80, targetPort: 8080}}]}}\n\
         ---\n\
         apiVersion: discovery.k8s.io/v1\n\
         kind: EndpointSlice\n\
         metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\n\
         ports: [{{port: 8080}}]\n\
         endpoints: [{{addresses: ['{address}']}}]\n"
    )
}

/// An Ingress that sends a host to a Service.
pub(crate) fn ingress(name: &str, host: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\n\
         kind: Ingress\n\
         metadata: {{name: {name}}}\n\
         spec:\n\
         \x20 ingressClassName: xdp\n\
         \x20 rules:\n\
         \x20 - host: {host}\n\
         \x20   http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}\n"
    )
}

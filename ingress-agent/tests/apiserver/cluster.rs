//! A control plane and pods in a namespace of their own, and agents beside them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use xtask::control_plane::{Binaries, Place, Plane, Relay};
use xtask::lab::{Namespace, Pod, Process, Scratch, join_pod_network, pod_network};
use xtask::pod_runner::{Image, Node, PodRunner};

pub(crate) use crate::objects::{NODE, deployment, ingress, ingress_tls, service};

/// How long what is to come may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the API server of a cluster that runs Pods is, which Pods reach too.
const API: [u8; 4] = [10, 2, 0, 254];

/// Dropped, and so ended, in this order.
pub(crate) struct Cluster {
    _runner: Option<PodRunner>,
    pub(crate) plane: Plane,
    _pods: Vec<Pod>,
    network: Namespace,
    scratch: Arc<Scratch>,
}

impl Cluster {
    /// With two pods, `red` at 10.2.0.11 and `blue` at 10.2.0.12, and a Service of that name for each.
    pub(crate) fn start() -> Self {
        Self::begin(false)
    }

    /// The same, with a log of what its API server is asked for.
    pub(crate) fn audited() -> Self {
        Self::begin(true)
    }

    fn begin(audited: bool) -> Self {
        let (scratch, network) = network();
        let pods = [("red", 11), ("blue", 12)];
        let pods = pods.map(|(name, last)| Pod::start(&network, name, last).unwrap());
        let plane = plane(&scratch, &network, Place::default().address, audited);
        let cluster = Self {
            _runner: None,
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

    /// Without a Service, and with two nodes that run Pods of these images: `node1` and `node2`.
    pub(crate) fn running_pods<const N: usize>(images: [(&'static str, Image); N]) -> Self {
        let (scratch, network) = network();
        network
            .output("ip", &["address", "add", "10.2.0.254/24", "dev", "pods"])
            .unwrap();
        let plane = plane(&scratch, &network, API.into(), false);
        let nodes = [1, 2].map(|number| {
            let name = format!("node{number}");
            let namespace = scratch.namespace(&name).unwrap();
            join_pod_network(&network, &namespace, number).unwrap();
            let addresses = vec![[10, 2, 0, number].into()];
            Node {
                name,
                addresses,
                namespace,
            }
        });
        let runner = PodRunner::start(&plane, &scratch, &network, nodes.into(), images).unwrap();
        let cluster = Self {
            _runner: Some(runner),
            plane,
            _pods: Vec::new(),
            network,
            scratch,
        };
        cluster.apply(CLASS);
        cluster
    }

    /// The network of the Pods and of the agents.
    pub(crate) fn network(&self) -> &Namespace {
        &self.network
    }

    pub(crate) fn apply(&self, yaml: &str) {
        self.plane.kubectl_with(&["apply", "-f", "-"], yaml).unwrap();
    }

    pub(crate) fn apply_in(&self, namespace: &str, yaml: &str) {
        let apply = ["apply", "--namespace", namespace, "-f", "-"];
        self.plane.kubectl_with(&apply, yaml).unwrap();
    }

    /// Makes a TLS Secret with a new pair for a host, or gives it one. Its certificate as [`Cluster::shown`] gives it.
    pub(crate) fn pair(&self, namespace: &str, name: &str, host: &str) -> String {
        let day = Duration::from_secs(86_400);
        self.pair_until(namespace, name, host, SystemTime::now() + day)
    }

    /// The same with a certificate that ends at that second.
    pub(crate) fn pair_until(&self, namespace: &str, name: &str, host: &str, end: SystemTime) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end.duration_since(UNIX_EPOCH).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key.serialize_pem()},
        });
        self.apply_in(namespace, &secret.to_string());
        body(&certificate)
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
        self.start_agent_as(name, &self.plane.kubeconfig(), flags)
    }

    /// A place for what an agent keeps, on a disk.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.scratch.directory().join(name)
    }

    /// The same, as somebody.
    pub(crate) fn start_agent_as(&self, name: &str, kubeconfig: &Path, flags: &[&str]) -> Process {
        let state = self.directory(&format!("{name}-state"));
        self.run(name, kubeconfig, &self.run_directory(name), &state, flags)
    }

    /// The same, as the administrator, with these directories.
    pub(crate) fn start_agent_in(&self, name: &str, run: &Path, state: &Path, flags: &[&str]) -> Process {
        self.run(name, &self.plane.kubeconfig(), run, state, flags)
    }

    fn run(&self, name: &str, kubeconfig: &Path, run: &Path, state: &Path, flags: &[&str]) -> Process {
        let mut command = self.network.command(env!("CARGO_BIN_EXE_ingress-agent"));
        command.args(["run", "--source", "kube", "--no-xdp", "--workers", "2"]);
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:8080", "--tls-listen", "127.0.0.1:8443"]);
        }
        command
            .args(["--drain-timeout", "1s", "--run-dir"])
            .arg(run)
            .arg("--state-dir")
            .arg(state)
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1");
        self.scratch.start(name, &mut command).unwrap()
    }

    /// Starts another program.
    pub(crate) fn start_program(&self, name: &str, command: &mut Command) -> Process {
        self.scratch.start(name, command).unwrap()
    }

    fn run_directory(&self, name: &str) -> PathBuf {
        self.scratch.directory().join(format!("{name}-run"))
    }

    /// A relay to the API server, and a ServiceAccount's kubeconfig by it.
    pub(crate) fn account_relay(&self, account: &str) -> (Relay, PathBuf) {
        let relay = Relay::start(Some(&self.network), self.plane.api()).unwrap();
        let kubeconfig = self.plane.account_kubeconfig("default", account, relay.address());
        (relay, kubeconfig.unwrap())
    }

    /// Starts a request of a ServiceAccount's whose body takes minutes to come.
    pub(crate) fn slow_request(&self, account: &str) -> Process {
        let body = self.directory("slow");
        fs::write(&body, vec![b' '; 1 << 20]).unwrap();
        let data = format!("@{}", body.display());
        let mut command = self.ask_as(account);
        command
            .args(["--http1.1", "--header", "Content-Type: application/json"])
            .args(["--limit-rate", "2k", "--data-binary", &data]);
        self.scratch.start("slow-request", &mut command).unwrap()
    }

    /// The status of the API server's answer to a ServiceAccount.
    pub(crate) fn asks_as(&self, account: &str) -> String {
        let mut command = self.ask_as(account);
        let command = command.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    fn ask_as(&self, account: &str) -> Command {
        let token = self.kubectl(&["create", "token", account]);
        let token = format!("Authorization: Bearer {}", token.trim());
        let url = format!("https://{}/api/v1/namespaces/default/services", self.plane.api());
        let mut command = self.network.command("curl");
        command.args([
            "--silent",
            "--insecure",
            "--noproxy",
            "*",
            "--header",
            &token,
            &url,
        ]);
        command
    }

    /// A relay to the API server, and the administrator's kubeconfig by it.
    pub(crate) fn relay(&self) -> (Relay, PathBuf) {
        let relay = Relay::start(Some(&self.network), self.plane.api()).unwrap();
        let direct = fs::read_to_string(self.plane.kubeconfig()).unwrap();
        let [from, to] = [self.plane.api(), relay.address()].map(|address| address.to_string());
        let path = self.scratch.directory().join("relay.kubeconfig");
        fs::write(&path, direct.replace(&from, &to)).unwrap();
        (relay, path)
    }

    /// The same without TLS between the relay and who connects to it, by way of `kubectl proxy`.
    pub(crate) fn plain_relay(&self) -> (Process, Relay, PathBuf) {
        let to = SocketAddr::from(([127, 0, 0, 1], 8001));
        let mut command = self.plane.kubectl_command();
        command.args(["proxy", "--port=8001"]);
        let proxy = self.scratch.start("kubectl-proxy", &mut command).unwrap();
        proxy.wait_for_log("Starting to serve", 0, PATIENCE).unwrap();
        let relay = Relay::start(Some(&self.network), to).unwrap();
        let path = self.scratch.directory().join("plain.kubeconfig");
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": format!("http://{}", relay.address())}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        });
        fs::write(&path, kubeconfig.to_string()).unwrap();
        (proxy, relay, path)
    }

    /// What the API server was asked for so far, if it is audited; the last line may be half written.
    pub(crate) fn audited_events(&self) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.plane.audit_log()).unwrap();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// A metric of an agent, with its labels.
    pub(crate) fn metric(&self, agent: &str, name: &str) -> u64 {
        let (status, text) = self.ask(agent, "/metrics");
        assert_eq!(status, "200");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    /// What `ingress-agent status` says of an agent.
    pub(crate) fn status(&self, agent: &str) -> String {
        let mut command = self.network.command(env!("CARGO_BIN_EXE_ingress-agent"));
        command
            .args(["status", "--run-dir"])
            .arg(self.run_directory(agent));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// What an agent says of itself: the status of its answer, and the body.
    pub(crate) fn ask(&self, agent: &str, path: &str) -> (String, String) {
        let socket = self.run_directory(agent).join("admin.sock");
        let url = format!("http://agent{path}");
        self.curl(&["--unix-socket", socket.to_str().unwrap(), &url])
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

    /// The certificate that a server name is shown, as Base64; empty where there is no handshake.
    pub(crate) fn shown(&self, host: &str) -> String {
        let url = format!("https://{host}:8443/");
        let at = format!("{host}:8443:127.0.0.1");
        let mut command = self.network.command("curl");
        let output = command
            .args([
                "--silent",
                "--insecure",
                "--max-time",
                "10",
                "--output",
                "/dev/null",
            ])
            .args(["--resolve", &at, "--write-out", "%{certs}", &url])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.find("-----BEGIN")
            .map_or_else(String::new, |begin| body(&text[begin..]))
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
    pub(crate) fn eventually(&self, what: &str, holds: impl FnMut(&Self) -> bool) {
        self.within(PATIENCE, Duration::from_millis(10), what, holds);
    }

    /// The same, within a time, looking now and then. How long it took.
    pub(crate) fn within(
        &self,
        time: Duration,
        look: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < time, "not within {time:?}: {what}");
            std::thread::sleep(look);
        }
        begin.elapsed()
    }
}

fn network() -> (Arc<Scratch>, Namespace) {
    let scratch = Arc::new(Scratch::begin().unwrap());
    let network = pod_network(scratch.namespace("cluster").unwrap()).unwrap();
    (scratch, network)
}

fn plane(scratch: &Arc<Scratch>, network: &Namespace, address: IpAddr, audited: bool) -> Plane {
    let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
    let place = Place {
        namespace: Some(network.clone()),
        address,
    };
    Plane::start(scratch, binaries, place, audited).unwrap()
}

/// The first certificate of a PEM text.
fn body(pem: &str) -> String {
    let lines = pem.lines().skip(1).take_while(|line| !line.starts_with('-'));
    lines.map(str::trim).collect()
}

/// An IngressClass of ours.
const CLASS: &str = "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: xdp}
spec: {controller: ingress-agent.dev/xdp}
";

//! Agents that find one another, their VIPs and their leader by a real API server.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::mount::MountFlags;
use rustix::process::Signal;
use xtask::control_plane::{Binaries, Place, Plane};
use xtask::lab::{Lab, NIC, Process, VIP_V4, VIP_V6, node_addresses};
use xtask::pod_runner::{Image, Node, PodRunner};

/// How long what is to come may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Where the API server listens, in the pod network.
const API: [u8; 4] = [10, 2, 0, 254];

/// Agents first: they end before what they call.
pub(crate) struct Cluster {
    pub(crate) agents: Vec<(u8, Process)>,
    _runner: PodRunner,
    pub(crate) plane: Plane,
    pub(crate) lab: Lab,
}

impl Cluster {
    /// A lab whose three nodes are Nodes, with a class, and Services and Ingresses for its pods. No agent runs yet.
    pub(crate) fn start() -> Option<Self> {
        Self::of(3)
    }

    /// The same with so many nodes.
    pub(crate) fn of(nodes: u8) -> Option<Self> {
        let cluster = Self::begin(nodes, false, [])?;
        cluster.apply(include_str!("../../../deploy/base/crd.yaml"));
        let wait = [
            "wait",
            "--for=condition=Established",
            "crd/vippools.ingress-agent.dev",
        ];
        cluster.kubectl(&wait);
        cluster.apply(OBJECTS);
        Some(cluster)
    }

    /// A lab whose three nodes are Nodes, and no object more. `audited`: as [`Plane::start`] has it.
    pub(crate) fn bare(
        audited: bool,
        images: impl IntoIterator<Item = (&'static str, Image)>,
    ) -> Option<Self> {
        Self::begin(3, audited, images)
    }

    fn begin(
        nodes: u8,
        audited: bool,
        images: impl IntoIterator<Item = (&'static str, Image)>,
    ) -> Option<Self> {
        let lab = super::lab(nodes)?;
        let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
        let network = lab.pod_network().clone();
        let address = ["address", "add", "10.2.0.254/24", "dev", "pods"];
        network.output("ip", &address).unwrap();
        let place = Place {
            namespace: Some(network.clone()),
            address: API.into(),
        };
        let plane = Plane::start(lab.scratch(), binaries, place, audited).unwrap();
        let nodes = (1..=nodes).map(|number| Node {
            name: format!("node{number}"),
            addresses: node_addresses(number).into(),
            namespace: lab.node(number).unwrap().clone(),
        });
        let runner = PodRunner::start(&plane, lab.scratch(), &network, nodes.collect(), images).unwrap();
        // Private keys are kept in memory only. The mount goes with the lab.
        let memory = lab.directory().join("memory");
        std::fs::create_dir(&memory).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("run", &memory, "tmpfs", flags, None).unwrap();
        Some(Self {
            agents: Vec::new(),
            _runner: runner,
            plane,
            lab,
        })
    }

    pub(crate) fn apply(&self, yaml: &str) {
        self.plane.kubectl_with(&["apply", "-f", "-"], yaml).unwrap();
    }

    /// Starts a node's agent, and waits for nothing.
    pub(crate) fn spawn(&mut self, number: u8) {
        let name = format!("node{number}");
        let mut command = self
            .lab
            .node(number)
            .unwrap()
            .command(env!("CARGO_BIN_EXE_ingress-agent"));
        command
            .args([
                "run",
                "--source",
                "kube",
                "--namespace",
                "ingress",
                "--node",
                &name,
            ])
            .args(["--interface", NIC, "--drain-timeout", "10s", "--pin-dir"])
            .arg(self.lab.pins(number))
            .arg("--run-dir")
            .arg(self.lab.directory().join("memory").join(&name))
            .arg("--state-dir")
            .arg(self.state(number))
            .env("KUBECONFIG", self.plane.kubeconfig())
            .env("NO_COLOR", "1");
        let agent = self.lab.scratch().start(&name, &mut command).unwrap();
        self.agents.push((number, agent));
    }

    /// What a node's agent says to a command of the program's: its exit code and its words.
    pub(crate) fn ask(&self, number: u8, arguments: &[&str]) -> (i32, String) {
        let mut command = self
            .lab
            .node(number)
            .unwrap()
            .command(env!("CARGO_BIN_EXE_ingress-agent"));
        let run_dir = self.lab.directory().join("memory").join(format!("node{number}"));
        let output = command
            .args(arguments)
            .arg("--run-dir")
            .arg(run_dir)
            .output()
            .unwrap();
        let words = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(words).unwrap())
    }

    /// What the nodes' Leases say of the membership in force there, by node; empty: none.
    pub(crate) fn generations(&self) -> Vec<String> {
        let path = "--output=jsonpath={range .items[*]}{.metadata.annotations.ingress-agent\\.dev/generation}{'\\n'}{end}";
        let nodes = "--selector=ingress-agent.dev/lease=node";
        let text = self.kubectl(&["get", "leases", "--namespace", "ingress", nodes, path]);
        text.lines().map(str::to_owned).collect()
    }

    /// Whether these nodes, and no others, follow a membership, which is the same.
    pub(crate) fn agree(&self, nodes: &[u8]) -> bool {
        let generations = self.generations();
        let following: BTreeSet<_> = generations.iter().filter(|text| !text.is_empty()).collect();
        let is_one_of = |(number, text): (u8, &String)| nodes.contains(&number) != text.is_empty();
        following.len() == 1 && (1..).zip(&generations).all(is_one_of) && generations.len() >= nodes.len()
    }

    /// Where a node's agent keeps what it knows.
    pub(crate) fn state(&self, number: u8) -> PathBuf {
        self.lab.directory().join(format!("node{number}-state"))
    }

    pub(crate) fn take(&mut self, number: u8) -> Process {
        let position = self.agents.iter().position(|(own, _)| *own == number).unwrap();
        self.agents.remove(position).1
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.kubectl(arguments).unwrap()
    }

    /// What an Ingress's status says, in its order.
    pub(crate) fn addresses(&self, ingress: &str) -> String {
        let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        self.kubectl(&["get", "ingress", ingress, path])
    }

    /// Who holds the leader's Lease: the name of its node.
    pub(crate) fn leader(&self) -> String {
        let path = "--output=jsonpath={.spec.holderIdentity}";
        let lease = [
            "get",
            "lease",
            "ingress-agent-leader",
            "--namespace",
            "ingress",
            path,
        ];
        let holder = self.plane.kubectl(&lease).unwrap_or_default();
        holder.split('_').next().unwrap_or_default().to_owned()
    }

    /// Whether a request to a VIP is answered by a pod.
    pub(crate) fn serves(&self, address: IpAddr) -> bool {
        self.lab
            .client()
            .echo(address, "http://shop.test/")
            .is_ok_and(|echo| echo.pod.starts_with("red"))
    }

    /// Waits until something holds, and says how long it took.
    #[track_caller]
    pub(crate) fn eventually(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> Duration {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
        begin.elapsed()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, agent) in &self.agents {
                eprintln!("--- node{number}\n{}", agent.log());
            }
        }
    }
}

const OBJECTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: ingress}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: xdp}
spec: {controller: ingress-agent.dev/xdp}
---
apiVersion: v1
kind: Service
metadata: {name: red}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: red-1, labels: {kubernetes.io/service-name: red}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.2.0.11]}, {addresses: [10.2.0.12]}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  ingressClassName: xdp
  rules:
  - host: shop.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: red, port: {number: 80}}}}]}
";

pub(crate) const POOL: &str = "\
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [192.0.2.10, '2001:db8:1::10'], classes: [xdp]}
";

#[test]
fn an_ingress_gets_the_pool_s_addresses_and_the_node_s_own_where_there_is_no_pool() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.apply(POOL);
    for number in 1..=3 {
        cluster.spawn(number);
    }
    let both = format!("{VIP_V4} {VIP_V6}");
    let took = cluster.eventually("the address in the status", |cluster| {
        cluster.addresses("shop") == both
    });
    eprintln!("the first address after {took:?}");
    for vip in [VIP_V4, VIP_V6] {
        cluster.eventually("an answer", |cluster| cluster.serves(vip));
    }
    cluster.eventually("all nodes follow the same membership", |cluster| {
        cluster.agree(&[1, 2, 3])
    });

    // No pool: the nodes' own addresses, until there is one again.
    cluster.kubectl(&["delete", "vippool", "edge"]);
    let nodes: Vec<_> = (1..=3).flat_map(node_addresses).collect();
    cluster.eventually("the nodes' addresses in the status", |cluster| {
        let addresses = cluster.addresses("shop");
        nodes
            .iter()
            .all(|node| addresses.split(' ').any(|one| one == node.to_string()))
            && addresses.split(' ').count() == nodes.len()
    });
    for address in &nodes {
        cluster.eventually("an answer of a node", |cluster| cluster.serves(*address));
    }
    assert!(!cluster.serves(VIP_V4));
    // The pool that the Event shows is for our class, as it is.
    let note = "--output=jsonpath={.items[?(@.reason==\"NoVipPool\")].message}";
    let note = cluster.kubectl(&["get", "events", note]);
    let (_, pool) = note.split_once("for example:\n").expect(&note);
    cluster.apply(pool);
    cluster.eventually("the pasted pool's address", |cluster| {
        cluster.addresses("shop") == VIP_V4.to_string()
    });
    cluster.apply(POOL);
    cluster.eventually("the pool's address again", |cluster| {
        cluster.addresses("shop") == both
    });
    cluster.eventually("an answer again", |cluster| cluster.serves(VIP_V4));

    // Another leader, and nothing else changes.
    let leader = cluster.leader();
    let number = leader.strip_prefix("node").unwrap().parse().unwrap();
    let killed = cluster.take(number);
    killed.signal(Signal::KILL).unwrap();
    let begin = Instant::now();
    let (_, ingress) = OBJECTS.rsplit_once("---\n").unwrap();
    let ingress = ingress.replace("name: shop}", "name: new}");
    cluster.apply(&ingress.replace("shop.test", "new.test"));
    cluster.eventually("another writes status", |cluster| {
        cluster.addresses("new") == both
    });
    eprintln!("another leader wrote after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert_ne!(cluster.leader(), leader);
    assert_eq!(cluster.addresses("shop"), both);
}

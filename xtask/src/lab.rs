//! A small data centre in network namespaces: a client, a router that spreads flows over nodes by ECMP,
//! nodes whose NIC runs XDP in driver mode, and pods that echo.
//!
//! ```text
//!  client ──── router ════ bridge `fabric` ═╦═ node1 ─╦═ bridge `pods` ═ red-1, red-2, blue-1 …
//!  198.51.100.10   192.0.2.0/24 (the VIPs)  ╠═ node2 ─╣    10.2.0.11, .12, …
//!  2001:db8:c::10  by ECMP, L4 hash         ╚═ node3 ─╝    fd00:2::11, …
//!                  10.1.0.254, fd00:1::fe      10.1.0.N, fd00:1::N
//! ```
//!
//! In: how many nodes and pods. Out: handles to ask, change and measure with. Everything is IPv4 and IPv6,
//! every MTU is 1500, and everything is removed when the [`Lab`] is dropped ([`teardown`]). It knows the
//! agent only by its command line, its manifests and its pinned maps.

mod agent;
mod bird;
mod bpftool;
mod client;
mod connections;
mod echo;
mod link;
mod manifest;
mod namespace;
mod passing;
mod ping;
mod pod;
mod process;
mod router;
mod scratch;
mod teardown;
#[cfg(test)]
mod tests;
mod traffic;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use agent::Agent;
pub use bird::Bird;
pub use bpftool::Counters;
pub use client::{Answer, Client, Echo};
pub use connections::{Connections, End, Held};
pub use manifest::{Manifests, NodeState};
pub use namespace::Namespace;
pub use ping::{Ping, Pings};
pub use pod::{Pod, network as pod_network};
pub use process::Process;
pub use router::Router;
pub use scratch::{Scratch, wait_for_interrupt};
pub use teardown::{dead_labs, remove_dead_labs, wait_if_interrupted};
pub use traffic::{Sent, Traffic};

use link::{End as LinkEnd, connect, pass_xdp};
pub(crate) use namespace::run;

/// The VIP that the manifests give to the pool, IPv4.
pub const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
/// The VIP that the manifests give to the pool, IPv6.
pub const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10));
/// The client's address, IPv4.
pub const CLIENT_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
/// The client's address, IPv6.
pub const CLIENT_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10));
/// The nodes' interface towards the router: what agents attach to.
pub const NIC: &str = "eth0";

/// A node's addresses on the fabric, by its number (1 to 250).
pub fn node_addresses(number: u8) -> [IpAddr; 2] {
    [
        Ipv4Addr::new(10, 1, 0, number).into(),
        Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, u16::from(number)).into(),
    ]
}

/// The node that a connection to a pod comes from, by its address in the pod network.
pub fn node_of(peer: IpAddr) -> Option<u8> {
    let number = match peer.to_canonical() {
        IpAddr::V4(address) => match address.octets() {
            [10, 2, 0, last] => last,
            _ => return None,
        },
        IpAddr::V6(address) => match address.segments() {
            [0xfd00, 2, 0, 0, 0, 0, 0, last] => u8::try_from(last).ok()?,
            _ => return None,
        },
    };
    (1..=10).contains(&number).then_some(number)
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: u8,
    pods: u8,
    agent: PathBuf,
}

impl Builder {
    /// How many nodes, 1 to 10; three unless said otherwise.
    pub fn nodes(mut self, nodes: u8) -> Self {
        self.nodes = nodes.clamp(1, 10);
        self
    }

    /// How many pods, 2 to 100; four unless said otherwise. The first half is called `red-1`, `red-2` …, the
    /// rest `blue-1` ….
    pub fn pods(mut self, pods: u8) -> Self {
        self.pods = pods.clamp(2, 100);
        self
    }

    /// Builds the lab, its manifests written and its pods running; no agent runs yet.
    pub fn build(self) -> Result<Lab> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::begin()?;
        allow_many_connections()?;
        let make = |name: &str| scratch.namespace(name);

        let client = make("client")?;
        let router = Router::create(make("router")?, &client, self.nodes)?;
        let pod_network = pod::network(make("pods")?)?;
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            nodes.push(Node::create(
                number,
                make(&format!("node{number}"))?,
                &router,
                &pod_network,
            )?);
        }
        let pods = pod::start(&pod_network, self.pods)?;
        let manifests = Manifests::write(&scratch.directory().join("manifests"), &pods, self.nodes)?;
        Ok(Lab {
            client: Client::new(client, manifests.authority()),
            agent: self.agent,
            router,
            nodes,
            pods,
            manifests,
            scratch,
            _turn: turn,
        })
    }
}

/// A running lab. Fields are dropped in this order: pods end before their namespace goes.
#[derive(Debug)]
pub struct Lab {
    pods: Vec<Pod>,
    client: Client,
    router: Router,
    nodes: Vec<Node>,
    manifests: Manifests,
    agent: PathBuf,
    scratch: Scratch,
    /// One lab at a time in a process: tests of it run one after the other.
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// A lab for the agent at this path: three nodes and four pods.
    pub fn builder(agent: impl Into<PathBuf>) -> Builder {
        Builder {
            nodes: 3,
            pods: 4,
            agent: agent.into(),
        }
    }

    /// The machine that requests come from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The router between the client and the nodes.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// A node's machine, by its number.
    pub fn node(&self, number: u8) -> Result<&Namespace> {
        let node = self.nodes.iter().find(|node| node.number == number);
        Ok(&node
            .with_context(|| format!("the lab has no node {number}"))?
            .namespace)
    }

    /// The pods.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The pods, to stop one.
    pub fn pods_mut(&mut self) -> &mut [Pod] {
        &mut self.pods
    }

    /// Attaches a program that is not the agent's to a node's NIC, until the descriptor is closed.
    pub fn attach_foreign_xdp(&self, number: u8) -> Result<OwnedFd> {
        pass_xdp(LinkEnd {
            namespace: self.node(number)?,
            name: NIC,
        })
    }

    /// The folder of YAML that every agent follows.
    pub fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// Where the lab's files are; removed with it.
    pub fn directory(&self) -> &Path {
        self.scratch.directory()
    }

    /// The directory on the lab's bpffs where a node's agent pins.
    pub fn pins(&self, number: u8) -> PathBuf {
        self.directory().join(format!("bpf/node{number}"))
    }

    /// What a node's XDP programs counted, whether its agent lives or not.
    pub fn counters(&self, number: u8) -> Result<Counters> {
        Counters::read(&self.pins(number))
    }

    /// Starts an agent on a node, with further arguments, and waits until it serves.
    pub fn spawn_agent(&self, number: u8, arguments: &[&str]) -> Result<Agent> {
        let agent = self.try_agent(number, arguments)?;
        agent.wait_until_serving()?;
        Ok(agent)
    }

    /// Starts an agent on a node without waiting for anything: also one that will refuse to run.
    pub fn try_agent(&self, number: u8, arguments: &[&str]) -> Result<Agent> {
        let agent = Agent::start(self, number, &self.agent, arguments)?;
        self.scratch.adopt(agent.process());
        Ok(agent)
    }

    /// Starts BIRD on a node, as `deploy/bird.conf` has it.
    pub fn spawn_bird(&self, number: u8) -> Result<Bird> {
        let configuration = bird::on_node(number, router::ADDRESSES)?;
        let name = format!("node{number}-bird");
        Bird::start(&self.scratch, self.node(number)?, &name, &configuration)
    }

    /// Starts BIRD on the router: packets to the VIPs enter from now on where BGP says, and at no other node.
    pub fn spawn_router_bird(&self) -> Result<Bird> {
        self.router.enter_by_bgp()?;
        let [v4, _] = router::ADDRESSES;
        let nodes = u8::try_from(self.nodes.len())?;
        let configuration = bird::on_router(v4, nodes);
        Bird::start(
            &self.scratch,
            self.router.namespace(),
            "router-bird",
            &configuration,
        )
    }

    /// Starts an agent on every node and waits until all serve.
    pub fn spawn_agents(&self) -> Result<Vec<Agent>> {
        let agents: Vec<_> = self
            .nodes
            .iter()
            .map(|node| self.try_agent(node.number, &[]))
            .collect::<Result<_>>()?;
        for agent in &agents {
            agent.wait_until_serving()?;
        }
        Ok(agents)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

impl Lab {
    /// Prints every agent's log but the requests: a failed test says why.
    #[expect(
        clippy::print_stderr,
        reason = "a panic's report goes where the panic's message goes"
    )]
    fn print_logs(&self) {
        for node in &self.nodes {
            let path = self.directory().join(format!("node{}.log", node.number));
            if let Ok(log) = fs::read_to_string(&path) {
                let lines = log.lines().filter(|line| !line.contains(process::ACCESS));
                eprintln!(
                    "--- node{}\n{}",
                    node.number,
                    lines.collect::<Vec<_>>().join("\n")
                );
            }
        }
    }
}

/// Raises this process's limit of open files as far as it may; what it starts inherits that.
fn allow_many_connections() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .context("setrlimit(NOFILE)")
}

/// A node: its machine, and what keeps its link fit for XDP.
#[derive(Debug)]
struct Node {
    number: u8,
    namespace: Namespace,
    _passing: OwnedFd,
}

impl Node {
    /// Wires a node to the router and to the pod network.
    fn create(number: u8, namespace: Namespace, router: &Router, pods: &Namespace) -> Result<Self> {
        let [v4, v6] = node_addresses(number);
        let port = format!("node{number}");
        let port = LinkEnd {
            namespace: router.namespace(),
            name: &port,
        };
        connect(
            LinkEnd {
                namespace: &namespace,
                name: NIC,
            },
            port,
        )?;
        router.join_fabric(port.name)?;
        let pod_port = format!("node{number}");
        connect(
            LinkEnd {
                namespace: &namespace,
                name: "pod0",
            },
            LinkEnd {
                namespace: pods,
                name: &pod_port,
            },
        )?;
        pods.ip(&format!("link set {pod_port} master pods"))?;
        namespace.sysctl("net/ipv4/ip_forward", "1")?;
        namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        namespace.ip(&format!(
            "address add {v4}/24 dev {NIC}\n\
             address add {v6}/64 dev {NIC} nodad\n\
             address add 10.2.0.{number}/24 dev pod0\n\
             address add fd00:2::{number:x}/64 dev pod0 nodad\n\
             route add default via 10.1.0.254\n\
             route add default via fd00:1::fe"
        ))?;
        Ok(Self {
            number,
            _passing: pass_xdp(port)?,
            namespace,
        })
    }
}

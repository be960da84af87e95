//! A control plane, Nodes, and agents' coordinations within this process.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::cluster::{Coordination, LEADER, Retention, Taking};
use ingress_agent::source::kube::{Fleet, Scope, connect_by};
use ingress_agent::translate::Controllers;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use xtask::control_plane::{Binaries, Place, Plane, Relay};
use xtask::lab::Scratch;

use super::PATIENCE;

/// Our namespace.
pub(crate) const NAMESPACE: &str = "ours";

/// Dropped, and so ended, in this order.
pub(crate) struct Bed {
    runtime: Runtime,
    pub(crate) plane: Plane,
    pub(crate) scratch: Arc<Scratch>,
}

/// What a node's Lease says, by its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) node: String,
    pub(crate) holder: String,
    pub(crate) renewed: String,
    pub(crate) state: String,
    pub(crate) addresses: String,
    pub(crate) generation: String,
    pub(crate) number: Option<u16>,
}

impl Told {
    pub(crate) fn without_beat(self) -> Self {
        Self {
            renewed: String::new(),
            ..self
        }
    }
}

/// A node's name: they stand in its order.
pub(crate) fn name(index: usize) -> String {
    format!("node{index:02}.test")
}

/// What an agent reads at a node: our classes' objects everywhere, and the Leases.
pub(crate) fn scope(node: &Arc<str>, agent: &Coordination, pools: bool) -> Scope {
    Scope {
        node: Arc::clone(node),
        namespaces: Vec::new(),
        controllers: Controllers::Own,
        fleet: Fleet::Leases {
            namespace: NAMESPACE.to_owned(),
            secret: agent.secret(),
        },
        pools,
    }
}

impl Bed {
    /// With as many Nodes, node00.test at 192.0.2.1 and so on.
    pub(crate) fn start(nodes: usize) -> Self {
        Self::begin(nodes, false)
    }

    /// The same, with a log of what its API server is asked for.
    pub(crate) fn audited(nodes: usize) -> Self {
        Self::begin(nodes, true)
    }

    fn begin(nodes: usize, audited: bool) -> Self {
        // Another test was first: it is the same one.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
        let scratch = Arc::new(Scratch::begin().unwrap());
        let plane = Plane::start(&scratch, binaries, Place::default(), audited).unwrap();
        let bed = Self {
            runtime: Runtime::new().unwrap(),
            plane,
            scratch,
        };
        bed.kubectl(&["create", "namespace", NAMESPACE]);
        let nodes: Vec<_> = (0..nodes).map(node).collect();
        let nodes = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
        bed.plane
            .kubectl_with(&["create", "-f", "-"], &nodes.to_string())
            .unwrap();
        bed
    }

    pub(crate) fn run<T>(&self, test: impl AsyncFnOnce(&Self) -> T) -> T {
        self.runtime.block_on(test(self))
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["--namespace", NAMESPACE], arguments].concat();
        self.plane.kubectl(&arguments).unwrap()
    }

    /// Starts the agents of some nodes, each with a client of its own, that take connections at once.
    pub(crate) fn agents(&self, nodes: Range<usize>) -> Vec<Coordination> {
        self.forgetting(nodes, Retention::default())
    }

    /// A relay to the API server, and a kubeconfig by it.
    pub(crate) fn relay(&self) -> (Relay, PathBuf) {
        let relay = Relay::start(None, self.plane.api()).unwrap();
        let direct = fs::read_to_string(self.plane.kubeconfig()).unwrap();
        let [from, to] = [self.plane.api(), relay.address()].map(|address| address.to_string());
        let path = self.scratch.directory().join("relay.kubeconfig");
        fs::write(&path, direct.replace(&from, &to)).unwrap();
        (relay, path)
    }

    /// The same by another kubeconfig.
    pub(crate) fn agents_by(&self, kubeconfig: &Path, nodes: Range<usize>) -> Vec<Coordination> {
        taking(self.coordinations(kubeconfig, nodes, Retention::default()))
    }

    /// The same, that remember those who have gone for so long.
    pub(crate) fn forgetting(&self, nodes: Range<usize>, retention: Retention) -> Vec<Coordination> {
        taking(self.coordinations(&self.plane.kubeconfig(), nodes, retention))
    }

    /// Agents that take nothing yet.
    pub(crate) fn starting_agents(&self, nodes: Range<usize>) -> Vec<Coordination> {
        self.coordinations(&self.plane.kubeconfig(), nodes, Retention::default())
    }

    fn coordinations(
        &self,
        kubeconfig: &Path,
        nodes: Range<usize>,
        retention: Retention,
    ) -> Vec<Coordination> {
        let start = |index| {
            let client = client(kubeconfig);
            Coordination::start(&client, NAMESPACE, &Arc::from(name(index)), retention).unwrap()
        };
        nodes.map(start).collect()
    }

    /// The nodes' Leases, by name.
    pub(crate) async fn leases(&self) -> Vec<Told> {
        let leases: Api<Lease> = Api::namespaced(client(&self.plane.kubeconfig()), NAMESPACE);
        let of_nodes = ListParams::default().labels("ingress-agent.dev/lease=node");
        let list = leases.list(&of_nodes).await.unwrap();
        let mut told: Vec<_> = list.into_iter().map(told).collect();
        told.sort_by(|a, b| a.node.cmp(&b.node));
        told
    }

    /// Waits until so many Leases have numbers.
    pub(crate) async fn numbered(&self, nodes: usize) -> Vec<Told> {
        self.eventually("all have numbers", |leases| {
            leases.len() == nodes && leases.iter().all(|lease| lease.number.is_some())
        })
        .await
    }

    pub(crate) async fn eventually(&self, what: &str, holds: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let begin = Instant::now();
        loop {
            let leases = self.leases().await;
            if holds(&leases) {
                return leases;
            }
            assert!(begin.elapsed() < PATIENCE, "{what}: {leases:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The numbers that rest, as the leader has recorded them.
    pub(crate) async fn resting(&self) -> Vec<u16> {
        let leases: Api<Lease> = Api::namespaced(client(&self.plane.kubeconfig()), NAMESPACE);
        let lease = leases.get(LEADER).await.unwrap();
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let record: Value = serde_json::from_str(&annotations["ingress-agent.dev/numbers"]).unwrap();
        let resting = record["resting"].as_object().unwrap();
        resting.keys().map(|number| number.parse().unwrap()).collect()
    }

    pub(crate) async fn find_secret(&self) -> Option<Vec<u8>> {
        let secrets: Api<Secret> = Api::namespaced(client(&self.plane.kubeconfig()), NAMESPACE);
        let secret = secrets.get_opt("ingress-agent").await.unwrap()?;
        Some(secret.data.unwrap().get("secret").unwrap().0.clone())
    }

    pub(crate) async fn secret(&self) -> Vec<u8> {
        self.find_secret().await.unwrap()
    }

    /// How many requests there were for Leases, Nodes and Secrets by agents, by verb.
    pub(crate) fn requests(&self) -> BTreeMap<String, u32> {
        let log = fs::read_to_string(self.plane.audit_log()).unwrap();
        let mut verbs = BTreeMap::new();
        for line in log.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let agent = text("/userAgent");
            let is_other = agent.starts_with("kube-") || agent.starts_with("kubectl");
            let is_about = ["leases", "nodes", "secrets"].contains(&text("/objectRef/resource"));
            // A watch is told when it begins, and when it ends.
            let is_over = text("/stage") == "ResponseComplete";
            if !is_other && is_about && is_over && text("/user/username") == "administrator" {
                *verbs.entry(text("/verb").to_owned()).or_default() += 1;
            }
        }
        verbs
    }
}

/// Agents that take connections from now on.
fn taking(agents: Vec<Coordination>) -> Vec<Coordination> {
    for agent in &agents {
        agent.takes(Taking {
            connections: true,
            generation: None,
        });
    }
    agents
}

fn node(index: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name(index), "labels": {"zone": "a"}},
        "status": {"addresses": [
            {"type": "Hostname", "address": name(index)},
            {"type": "InternalIP", "address": format!("192.0.2.{}", index + 1)},
            {"type": "InternalIP", "address": format!("2001:db8::{}", index + 1)},
        ]},
    })
}

/// The administrator's client, made as an agent makes its own.
pub(crate) fn client(kubeconfig: &Path) -> Client {
    let config = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options);
    let config = futures::executor::block_on(config).unwrap();
    connect_by(config).unwrap().client
}

fn told(lease: Lease) -> Told {
    let spec = lease.spec.unwrap();
    let annotations = lease.metadata.annotations.unwrap();
    let text = |key: &str| {
        annotations
            .get(&format!("ingress-agent.dev/{key}"))
            .cloned()
            .unwrap_or_default()
    };
    Told {
        node: lease
            .metadata
            .name
            .unwrap()
            .strip_prefix("node-")
            .unwrap()
            .to_owned(),
        holder: spec.holder_identity.unwrap(),
        renewed: spec.renew_time.unwrap().0.to_string(),
        state: text("state"),
        addresses: text("addresses"),
        generation: text("generation"),
        number: text("number").parse().ok(),
    }
}

//! Where it runs: a namespace of the network with a control plane and pods.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;
use xtask::control_plane::{self, Binaries, Plane};
use xtask::lab::{Namespace, Scratch};

use crate::{pods, usage};

/// A network of this program's own.
pub(crate) struct Network {
    pub(crate) namespace: Namespace,
    scratch: Arc<Scratch>,
}

/// The plane is dropped first.
pub(crate) struct Place {
    pub(crate) plane: Plane,
    /// The agent's program.
    pub(crate) agent: PathBuf,
    /// The agents' own.
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: Namespace,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) runtime: Runtime,
}

impl Place {
    pub(crate) fn network() -> Network {
        let scratch = Arc::new(Scratch::begin().unwrap());
        let namespace = scratch.namespace("api").unwrap();
        // Every pod's address is this machine's.
        let route = ["route", "add", "local", pods::NETWORK, "dev", "lo"];
        namespace.output("ip", &route).unwrap();
        Network { namespace, scratch }
    }

    /// To be called on a thread in the network, with which the processes end.
    pub(crate) fn start(network: &Network, agent: &str) -> Self {
        let scratch = Arc::clone(&network.scratch);
        pods::serve();
        let binaries = Binaries::find_or_build(&mut |line| eprintln!("{line}")).unwrap();
        let place = control_plane::Place {
            namespace: Some(network.namespace.clone()),
            ..control_plane::Place::default()
        };
        let plane = Plane::start(&scratch, binaries, place, false).unwrap();
        plane.kubectl_with(&["apply", "-f", "-"], BASE).unwrap();
        let kubeconfig = plane.account_kubeconfig("default", "agent", plane.api());
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .unwrap();
        Self {
            agent: agent.into(),
            kubeconfig: kubeconfig.unwrap(),
            plane,
            namespace: network.namespace.clone(),
            scratch,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// The CPU time of the API server and of its store so far.
    pub(crate) fn server_cpu(&self) -> Duration {
        self.server_cpus().iter().sum()
    }

    /// The same, each.
    pub(crate) fn server_cpus(&self) -> [Duration; 2] {
        let server = self.plane.server().unwrap();
        [server.id(), self.plane.store().id()].map(usage::cpu)
    }

    /// How many requests the API server has answered, by verb; watches when they ended.
    pub(crate) fn requests(&self) -> BTreeMap<String, f64> {
        let text = self.plane.kubectl(&["get", "--raw", "/metrics"]).unwrap();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("apiserver_request_total{"));
        let mut verbs = BTreeMap::new();
        for line in lines {
            let (labels, count) = line.rsplit_once("} ").unwrap();
            let (_, verb) = labels.split_once("verb=\"").unwrap();
            let (verb, _) = verb.split_once('"').unwrap();
            *verbs.entry(verb.to_owned()).or_default() += count.parse::<f64>().unwrap();
        }
        verbs
    }

    /// A client of the administrator's, for this one's runtime.
    pub(crate) fn client(&self) -> Client {
        self.runtime.block_on(client(&self.plane.kubeconfig()))
    }
}

/// A client by a kubeconfig, for the caller's runtime.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// The Node of an agent that publishes.
pub(crate) const NODE: &str = "node";

/// A class, a Node, and the agent's account with the rights to read all and to write what an agent publishes.
const BASE: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ours}
spec: {controller: ingress-agent.dev/xdp}
---
apiVersion: v1
kind: Node
metadata: {name: node}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: agent, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: [get, list, watch]}
- apiGroups: ['*']
  resources: [leases, secrets, events, ingresses/status]
  verbs: [create, patch, delete]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, name: agent, namespace: default}]
";

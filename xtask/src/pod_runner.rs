//! Plays scheduler and kubelet for a control plane, without containers (`spec/control-plane.md`): a Pod's container
//! is a process in a network namespace of its own, or in its node's where `hostNetwork` says so.
//!
//! In: a [`Plane`], a pod network with its nodes, and what the images are. Out: Nodes, bound Pods that run, their
//! status and their end, all seen by any client of the API server. A Pod has one container, which is started again
//! whenever it ends. What its Pod cannot have here is told in its status, and it does not start; liveness probes,
//! resources and seccomp profiles are passed over.
//!
//! [Annotations](script) on a Pod make it fail in known ways.

mod address;
mod confine;
mod environment;
mod image;
mod node;
mod place;
mod pod;
mod probe;
mod root;
mod sandbox;
mod script;
mod status;
mod volume;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, ResourceExt as _};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use crate::control_plane::Plane;
use crate::lab::{Namespace, Scratch};
use address::Addresses;
pub use image::Image;
pub use node::Node;

/// How long a request that failed waits for its next attempt.
const AGAIN: Duration = Duration::from_millis(200);

/// A running runner. Its Pods' processes end when it is dropped; the API server is told nothing then.
#[derive(Debug)]
pub struct PodRunner {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What every Pod's task needs.
struct Kubelet {
    client: Client,
    /// Where Pods find the API server.
    api: SocketAddr,
    scratch: Arc<Scratch>,
    network: Namespace,
    nodes: Vec<Node>,
    images: BTreeMap<String, Image>,
    addresses: RefCell<Addresses>,
}

impl PodRunner {
    /// Makes the nodes known and runs Pods from then on. The network is a [pod network](crate::lab::pod_network) from
    /// which the API server is reached at [`Plane::api`]; Pods that are to reach it too need it on an address that is
    /// not loopback's.
    pub fn start(
        plane: &Plane,
        scratch: &Arc<Scratch>,
        network: &Namespace,
        nodes: Vec<Node>,
        images: impl IntoIterator<Item = (&'static str, Image)>,
    ) -> Result<Self> {
        let (kubeconfig, api) = (plane.kubeconfig(), plane.api());
        let (scratch, inside) = (Arc::clone(scratch), network.clone());
        let images = images.into_iter().map(|(name, image)| (name.to_owned(), image));
        let images: BTreeMap<_, _> = images.collect();
        let (stop, stopped) = oneshot::channel();
        let (begun, has_begun) = mpsc::channel();
        let thread = network.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            LocalSet::new().block_on(&runtime, async {
                let kubelet = Kubelet {
                    client: connect(&kubeconfig).await?,
                    api,
                    scratch,
                    network: inside,
                    nodes,
                    images,
                    addresses: RefCell::default(),
                };
                for node in &kubelet.nodes {
                    node.register(&kubelet.client).await?;
                }
                // Who started it may be gone.
                begun.send(()).ok();
                tokio::select! {
                    ended = run(Rc::new(kubelet)) => ended,
                    // Whether it is told to or its owner is gone.
                    _ = stopped => Ok(()),
                }
            })
        })?;
        if has_begun.recv().is_err() {
            match thread.join() {
                Ok(Err(error)) => return Err(error.context("start the pod runner")),
                Ok(Ok(())) | Err(_) => bail!("the pod runner ended at once"),
            }
        }
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for PodRunner {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What it ended with matters to nobody once it is told to end.
            drop(thread.join());
        }
    }
}

async fn connect(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("read the administrator's kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Follows all Pods: binds those without a node, and has a task for each that has one.
async fn run(kubelet: Rc<Kubelet>) -> Result<()> {
    let pods: Api<Pod> = Api::all(kubelet.client.clone());
    let events = watcher(pods, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    // Ended, with their Pods, when this is dropped.
    let mut tasks = JoinSet::new();
    let mut listed = BTreeSet::new();
    let mut running: BTreeMap<String, watch::Sender<Arc<Pod>>> = BTreeMap::new();
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            // The API server is away: the watcher goes on by itself.
            Err(_) => continue,
        };
        while tasks.try_join_next().is_some() {}
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let uid = pod.uid().unwrap_or_default();
                listed.insert(uid.clone());
                let pod = Arc::new(pod);
                if node::of(&pod).is_none() {
                    tasks.spawn_local(node::bind(Rc::clone(&kubelet), pod));
                } else if let Some(known) = running.get(&uid) {
                    known.send_replace(pod);
                } else {
                    let (sender, receiver) = watch::channel(pod);
                    running.insert(uid, sender);
                    tasks.spawn_local(pod::run(Rc::clone(&kubelet), receiver));
                }
            }
            Event::Delete(pod) => drop(running.remove(&pod.uid().unwrap_or_default())),
            Event::Init => listed.clear(),
            // Those that went while nobody looked.
            Event::InitDone => running.retain(|uid, _| listed.contains(uid)),
        }
    }
}

/// Asks until the API server has answered for good: it is asked again where it is away, overloaded or at fault.
/// `None`: it refused, as it does where the object is gone.
async fn insist<T>(mut ask: impl AsyncFnMut() -> kube::Result<T>) -> Option<T> {
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => return None,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

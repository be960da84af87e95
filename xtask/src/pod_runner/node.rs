//! The nodes, and which Pod runs where.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{self, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{Kubelet, insist};
use crate::lab::Namespace;

/// A machine for Pods.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in the API.
    pub name: String,
    /// Its InternalIP addresses; Pods of its network have the first as theirs.
    pub addresses: Vec<IpAddr>,
    /// Where Pods of its network run.
    pub namespace: Namespace,
}

impl Node {
    /// Makes its Node, ready.
    pub(super) async fn register(&self, client: &Client) -> Result<()> {
        let nodes: Api<v1::Node> = Api::all(client.clone());
        let what = || format!("make the Node {}", self.name);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"},
            },
        });
        let object = serde_json::from_value(object)?;
        nodes
            .create(&PostParams::default(), &object)
            .await
            .with_context(what)?;
        let patch = PatchParams::default();
        // The API server taints every new node `not-ready`; a controller that does not run here would take it off.
        let untainted = Patch::Merge(json!({"spec": {"taints": null}}));
        nodes
            .patch(&self.name, &patch, &untainted)
            .await
            .with_context(what)?;
        let addresses: Vec<_> = self
            .addresses
            .iter()
            .map(|address| json!({"type": "InternalIP", "address": address}))
            .collect();
        let status = Patch::Merge(json!({"status": {
            "addresses": addresses,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        }}));
        nodes
            .patch_status(&self.name, &patch, &status)
            .await
            .with_context(what)
            .map(drop)
    }
}

/// The node that a Pod is bound to.
pub(super) fn of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Binds a Pod: to the node that its affinity names, as a DaemonSet's does, else to any.
pub(super) async fn bind(kubelet: Rc<Kubelet>, pod: Arc<Pod>) {
    let named = wanted(&pod).map(str::to_owned);
    let Some(node) = named.or_else(|| any(&kubelet.nodes, &pod)) else {
        return;
    };
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod.name_any()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    let parameters = PostParams::default();
    let name = pod.name_any();
    let bind = async || {
        pods.create_subresource("binding", &name, &parameters, &binding)
            .await
    };
    insist::<Value>(bind).await;
}

/// The node that a Pod asks for by name.
fn wanted(pod: &Pod) -> Option<&str> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?
        .node_selector_terms;
    terms
        .iter()
        .flat_map(|term| term.match_fields.iter().flatten())
        .find(|field| field.key == "metadata.name" && field.operator == "In")?
        .values
        .as_ref()?
        .first()
        .map(String::as_str)
}

/// A node by the Pod's hash.
fn any(nodes: &[Node], pod: &Pod) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    pod.uid().hash(&mut hasher);
    let turn = usize::try_from(hasher.finish() % (nodes.len().max(1) as u64)).ok()?;
    Some(nodes.get(turn)?.name.clone())
}

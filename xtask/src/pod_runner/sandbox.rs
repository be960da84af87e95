//! Where a Pod's container runs: a network namespace of the Pod's own, or its node's.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;

use super::{Kubelet, node};
use crate::lab::{Namespace, join_pod_network};

/// A Pod's place on the network. Its own namespace goes with it.
pub(super) struct Sandbox {
    pub(super) namespace: Namespace,
    /// The Pod's.
    pub(super) address: IpAddr,
    /// Its node's first.
    pub(super) host: IpAddr,
    own: Option<Own>,
}

struct Own {
    kubelet: Rc<Kubelet>,
    address: Ipv4Addr,
}

impl Sandbox {
    pub(super) fn create(kubelet: &Rc<Kubelet>, pod: &Pod) -> Result<Self> {
        let name = node::of(pod).unwrap_or_default();
        let node = kubelet.nodes.iter().find(|node| node.name == name);
        let node = node.with_context(|| format!("there is no node {name}"))?;
        let host = *node
            .addresses
            .first()
            .with_context(|| format!("node {name} has no address"))?;
        if pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true) {
            return Ok(Self {
                namespace: node.namespace.clone(),
                address: host,
                host,
                own: None,
            });
        }
        let address = kubelet.addresses.borrow_mut().take();
        let address = address.context("the pod network has no address left")?;
        let own = Own {
            kubelet: Rc::clone(kubelet),
            address,
        };
        Ok(Self {
            namespace: own.wire()?,
            address: address.into(),
            host,
            own: Some(own),
        })
    }
}

impl Own {
    /// Makes the namespace and plugs it into the pod network.
    fn wire(&self) -> Result<Namespace> {
        let [.., last] = self.address.octets();
        let namespace = self.kubelet.scratch.namespace(&format!("pod{last}"))?;
        join_pod_network(&self.kubelet.network, &namespace, last)?;
        Ok(namespace)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            // What stays goes with the scratch directory.
            drop(self.namespace.remove());
            own.kubelet.addresses.borrow_mut().put_back(own.address);
        }
    }
}

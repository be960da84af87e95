//! VipPool (ingress-agent.dev/v1alpha1): our one custom resource, and its value.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cause, Fault, Selector, keep, object};
use crate::model::ObjectRef;

mod port;
mod range;

pub use port::Port;
pub use range::Range;

/// The addresses that the outside world dials, the ports there, and who may use them.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "ingress-agent.dev",
    version = "v1alpha1",
    kind = "VipPool",
    status = "VipPoolStatus",
    derive = "Default",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct VipPoolSpec {
    /// Each `ADDRESS`, `CIDR` or `FIRST-LAST`.
    pub addresses: Vec<String>,
    /// Absent: 80 for HTTP and 443 for HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub ports: Option<Vec<VipPort>>,
    /// How the outside world learns of the addresses.
    #[serde(default)]
    pub announce: Announce,
    /// The IngressClasses that are served here. Absent or empty: those that no other pool names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The nodes that serve the addresses. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// The namespaces whose objects are served here. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// A port of every address of the pool.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct VipPort {
    /// The TCP port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// What is spoken there.
    pub protocol: VipProtocol,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum VipProtocol {
    /// Plain HTTP.
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP within TLS, which ends here.
    #[serde(rename = "HTTPS")]
    Https,
}

/// How the outside world learns of a pool's addresses.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Announce {
    /// Routers are told elsewhere, by routes to the nodes.
    #[default]
    Routes,
}

/// What was decided about the pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct VipPoolStatus {
    /// Who was given which address. Nodes serve from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignments: Vec<Assignment>,
    /// How the pool fares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// An address and whose it is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Assignment {
    /// An address of the pool.
    pub address: String,
    /// The IngressClass that is served there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The namespace of the object that is served there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the object that is served there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A VipPool's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// Its name.
    pub object: ObjectRef,
    /// Its addresses, in its order.
    pub ranges: Vec<Range>,
    /// Its ports, in its order, no two alike. Never more than 16.
    pub ports: Vec<Port>,
    /// The classes it names; empty: those that no other pool names.
    pub classes: Vec<Arc<str>>,
    /// The nodes that serve it.
    pub nodes: Selector,
    /// The namespaces that are served.
    pub namespaces: Selector,
    /// `status.assignments` for classes, as `(address, class)`.
    pub assignments: Vec<(std::net::IpAddr, Arc<str>)>,
    /// What of it could not be read. With a fault in ports or selectors, `ranges` is empty: a pool that
    /// would serve other nodes or namespaces than it was meant to serves none.
    pub faults: Vec<Fault>,
}

/// Turns a VipPool into its value.
pub fn digest(pool: VipPool, previous: Option<&Arc<Pool>>) -> Arc<Pool> {
    let VipPool {
        metadata,
        spec,
        status,
    } = pool;
    let VipPoolSpec {
        addresses,
        ports,
        announce: Announce::Routes,
        classes,
        node_selector,
        namespace_selector,
    } = spec;
    let mut faults = Vec::new();
    let ports = port::parse(ports);
    let nodes = Selector::parse(node_selector.unwrap_or_default(), "spec.nodeSelector");
    let namespaces = Selector::parse(namespace_selector.unwrap_or_default(), "spec.namespaceSelector");
    let usable = ports.is_ok() && nodes.is_ok() && namespaces.is_ok();
    let mut take = |fault| faults.push(fault);
    let ports = ports.map_err(&mut take).unwrap_or_default();
    let nodes = nodes.map_err(&mut take).unwrap_or_default();
    let namespaces = namespaces.map_err(&mut take).unwrap_or_default();
    let ranges = if usable {
        range::parse(&addresses, &mut faults)
    } else {
        Vec::new()
    };
    let assignments = status.unwrap_or_default().assignments;
    let pool = Pool {
        object: object("VipPool", &metadata),
        ranges,
        ports,
        classes: classes.unwrap_or_default().into_iter().map(Arc::from).collect(),
        nodes,
        namespaces,
        assignments: assignments
            .into_iter()
            .enumerate()
            .filter_map(|(i, a)| assignment(i, a, &mut faults))
            .collect(),
        faults,
    };
    keep(pool, previous)
}

/// Assignments to other objects than classes are read by those who serve such objects.
fn assignment(
    index: usize,
    assignment: Assignment,
    faults: &mut Vec<Fault>,
) -> Option<(std::net::IpAddr, Arc<str>)> {
    let Assignment {
        address,
        class,
        namespace: _,
        name: _,
    } = assignment;
    let class = class?;
    match address.parse() {
        Ok(address) => Some((address, Arc::from(class))),
        Err(_) => {
            faults.push(
                Fault::refused(
                    Cause::AssignmentAddress,
                    format!("status.assignments[{index}].address"),
                )
                .found(format!("`{address}`"))
                .expected("an IP address")
                .so("the assignment is not used")
                .change("remove the assignment, or correct its address"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;

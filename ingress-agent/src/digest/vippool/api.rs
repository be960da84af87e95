//! The type that the API server keeps.

#![allow(
    clippy::duplicated_attributes,
    reason = "each printer column has a name, a type and a path of its own"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The addresses that the outside world dials, the ports there, and who is served there.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "ingress-agent.dev",
    version = "v1alpha1",
    kind = "VipPool",
    shortname = "vp",
    doc = "Addresses that the outside world dials, and who was given which of them.",
    status = "VipPoolStatus",
    derive = "Default",
    derive = "PartialEq",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(
        name = "Used",
        type_ = "integer",
        json_path = ".status.used",
        description = "The addresses that were given out."
    ),
    printcolumn(
        name = "Free",
        type_ = "integer",
        json_path = ".status.free",
        description = "The free addresses of the scarcer family, counted up to a million."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Exhausted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Exhausted")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct VipPoolSpec {
    /// The pool's addresses, each entry `ADDRESS`, `CIDR` or `FIRST-LAST`. A CIDR stands for the addresses that hosts
    /// may have; FIRST-LAST is taken literally. A node's own address is never given out, nor one of an older pool.
    #[schemars(transform = rules::addresses)]
    pub addresses: Vec<String>,
    /// The ports of every address, at most 16. Absent: 80 for HTTP and 443 for HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), transform = rules::ports)]
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
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
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

/// What was decided about the pool: written by the agents' leader.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct VipPoolStatus {
    /// Who was given which address. Nodes serve from here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = rules::MAX_ASSIGNMENTS))]
    pub assignments: Vec<Assignment>,
    /// The addresses that were given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// The free addresses of the scarcer of the pool's families, counted up to a million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<i64>,
    /// How the pool fares. `Ready`: it gives addresses. `Exhausted`: somebody got none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = rules::conditions)]
    pub conditions: Vec<Condition>,
}

/// An address and whose it is: a class's, or an object's own.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[schemars(transform = rules::assignment)]
pub struct Assignment {
    /// An address of the pool.
    #[schemars(length(max = 45), transform = rules::address)]
    pub address: String,
    /// The IngressClass that is served there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class: Option<String>,
    /// The namespace of the Ingress that is served there alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The name of that Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

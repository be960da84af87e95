//! What the cluster's objects mean, in types that know nothing of Kubernetes, the kernel or HTTP libraries.
//!
//! ```text
//! Model ─┬─ pools: Pool ── members: Member          which nodes serve which VIPs   (read by `xdp`)
//!        └─ listeners: Listener {vip, protocol} ──▶ Site ─┬─ hosts: Host ─▶ VirtualHost ─▶ Route ─▶ Backend ─▶ Endpoint
//!                                                         ├─ default: Backend          (read by `proxy`)
//!                                                         └─ certificates
//! ```
//!
//! One noun per file. Values are immutable and shared by `Arc`: `translate` reuses what did not change,
//! and a reader may compare pointers.

#![warn(missing_docs)]

pub mod backend;
pub mod certificate;
pub mod host;
pub mod hosts;
pub mod listener;
pub mod object;
pub mod path;
pub mod policy;
pub mod route;
pub mod vip;

use std::sync::Arc;

pub use backend::{Backend, BackendId, BackendPort, Endpoint, EndpointState};
pub use certificate::{Certificate, PrivateKey};
pub use host::Host;
pub use hosts::HostMap;
pub use listener::{Listener, NODE_PORTS, Opening, Site, VirtualHost};
pub use object::ObjectRef;
pub use path::{PathMatch, PathSummary};
pub use policy::Policies;
pub use route::{Action, Route, RouteMatch};
pub use vip::{Member, MemberState, Pool, PoolName, Protocol, Vip};

/// Everything the data path does, as one value. Built by `translate` from a whole snapshot; never patched.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The pools, by name.
    pub pools: Vec<Arc<Pool>>,
    /// What listens where, by VIP. No two have the same VIP.
    pub listeners: Vec<Listener>,
    /// The secret that the slot hash and the tunnel key derive from; `None`: one node, no tunnel.
    pub secret: Option<Arc<vip::PoolSecret>>,
}

//! A Service's port and the endpoints behind it.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

/// A Service's port: what a route names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BackendId {
    /// The Ingress's own namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub service: Arc<str>,
    /// The Service's port, as the Ingress names it.
    pub port: BackendPort,
}

/// A Service's port by number or by name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum BackendPort {
    /// `service.port.number`.
    Number(NonZeroU16),
    /// `service.port.name`.
    Name(Arc<str>),
}

/// A Service's port and its endpoints. Without endpoints its routes answer 503.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backend {
    /// Which Service and port.
    pub id: BackendId,
    /// By address; no two alike.
    pub endpoints: Vec<Endpoint>,
}

/// A pod's address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// Where it is called.
    pub address: SocketAddr,
    /// Whether it is given new requests.
    pub state: EndpointState,
}

/// Whether an endpoint is given new requests (discovery.k8s.io/v1 `EndpointConditions`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EndpointState {
    /// It is.
    Ready,
    /// Serving but terminating: only when no other is left.
    Draining,
}

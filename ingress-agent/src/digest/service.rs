//! Service (v1): how a backend's port is named. Endpoints come from EndpointSlices.

use std::num::NonZeroU16;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service as ApiService, ServicePort};

use super::{fitted, keep, object};
use crate::model::ObjectRef;

/// A Service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Its name.
    pub object: ObjectRef,
    /// Its ports, in its order. Those with a number outside 1-65535 are left out: the API takes none.
    pub ports: Vec<Port>,
    /// `spec.externalName` of a Service of type `ExternalName`.
    pub external_name: Option<Arc<str>>,
}

/// A Service's port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// Empty when the Service's only port has no name. EndpointSlices name their ports by it.
    pub name: Arc<str>,
    /// What Ingresses call by number.
    pub number: NonZeroU16,
    /// Absent in the API means TCP.
    pub tcp: bool,
}

/// Turns a Service into its value.
pub fn digest(service: ApiService, previous: Option<&Arc<Service>>) -> Arc<Service> {
    let ApiService {
        metadata,
        spec,
        status: _,
    } = service;
    let spec = spec.unwrap_or_default();
    let external = spec.type_.as_deref() == Some("ExternalName");
    let service = Service {
        object: object("Service", &metadata),
        ports: fitted(spec.ports.unwrap_or_default().into_iter().filter_map(port)),
        external_name: external.then(|| Arc::from(spec.external_name.unwrap_or_default())),
    };
    keep(service, previous)
}

fn port(port: ServicePort) -> Option<Port> {
    // Node ports and target ports are kube-proxy's and the EndpointSlice controller's business.
    let ServicePort {
        app_protocol: _,
        name,
        node_port: _,
        port,
        protocol,
        target_port: _,
    } = port;
    Some(Port {
        name: Arc::from(name.unwrap_or_default()),
        number: u16::try_from(port).ok().and_then(NonZeroU16::new)?,
        tcp: protocol.is_none_or(|protocol| protocol == "TCP"),
    })
}

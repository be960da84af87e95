//! EndpointSlice (discovery.k8s.io/v1): pod addresses of a Service.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};

use super::{Cause, Fault, fitted, keep, object};
use crate::model::{EndpointState, ObjectRef};

/// Joins a slice to its Service (discovery.k8s.io/v1 `LabelServiceName`).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// An EndpointSlice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoints {
    /// The slice's name.
    pub object: ObjectRef,
    /// The Service it belongs to, in its own namespace.
    pub service: Option<Arc<str>>,
    /// The TCP ports by the Service port's name; empty where that has none.
    pub ports: Vec<(Arc<str>, NonZeroU16)>,
    /// The addresses that may be called, and how.
    pub addresses: Vec<(IpAddr, EndpointState)>,
    /// What of it could not be used.
    pub faults: Vec<Fault>,
}

/// Turns an EndpointSlice into its value.
pub fn digest(slice: EndpointSlice, previous: Option<&Arc<Endpoints>>) -> Arc<Endpoints> {
    let EndpointSlice {
        address_type,
        endpoints,
        metadata,
        ports,
    } = slice;
    let mut faults = Vec::new();
    let addresses = match address_type.as_str() {
        "IPv4" | "IPv6" => {
            let endpoints = endpoints.unwrap_or_default().into_iter().enumerate();
            fitted(
                endpoints
                    .filter_map(|(index, endpoint)| address(index, endpoint, &address_type, &mut faults)),
            )
        }
        other => {
            faults.push(
                Fault::refused(Cause::SliceAddressType, "addressType")
                    .found(format!("`{other}`"))
                    .expected("`IPv4` or `IPv6`")
                    .so("the slice's endpoints are not called")
                    .change("list the pods' addresses in a slice of type IPv4 or IPv6"),
            );
            Vec::new()
        }
    };
    let service = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SERVICE_NAME));
    let slice = Endpoints {
        service: service.map(|name| Arc::from(name.as_str())),
        object: object("EndpointSlice", &metadata),
        ports: fitted(ports.unwrap_or_default().into_iter().filter_map(port)),
        addresses,
        faults,
    };
    keep(slice, previous)
}

fn port(port: EndpointPort) -> Option<(Arc<str>, NonZeroU16)> {
    let EndpointPort {
        app_protocol: _,
        name,
        port,
        protocol,
    } = port;
    let number = u16::try_from(port?).ok().and_then(NonZeroU16::new)?;
    let tcp = protocol.is_none_or(|protocol| protocol == "TCP");
    tcp.then(|| (Arc::from(name.unwrap_or_default()), number))
}

fn address(
    index: usize,
    endpoint: Endpoint,
    address_type: &str,
    faults: &mut Vec<Fault>,
) -> Option<(IpAddr, EndpointState)> {
    // Hints and zones choose among endpoints within a cluster; clients here come from outside.
    let Endpoint {
        addresses,
        conditions,
        deprecated_topology: _,
        hints: _,
        hostname: _,
        node_name: _,
        target_ref: _,
        zone: _,
    } = endpoint;
    let state = state(conditions)?;
    // All addresses of an endpoint are fungible and consumers take the first (`Endpoint.addresses`).
    let text = addresses.into_iter().next().unwrap_or_default();
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_ipv4() == (address_type == "IPv4") && !is_special(address) => {
            Some((address, state))
        }
        Ok(_) | Err(_) => {
            faults.push(
                Fault::refused(Cause::SliceAddress, format!("endpoints[{index}].addresses[0]"))
                    .found(format!("`{text}`"))
                    .expected(format!("a pod's address of type {address_type}, not a loopback, link-local, multicast or unspecified one"))
                    .so("this endpoint is not called")
                    .change("write the pod's own address"),
            );
            None
        }
    }
}

/// `None`: never called. `ready` absent means ready; an endpoint that terminates but still serves is for
/// when no other is left (`EndpointConditions`).
fn state(conditions: Option<EndpointConditions>) -> Option<EndpointState> {
    let EndpointConditions {
        ready,
        serving,
        terminating,
    } = conditions.unwrap_or_default();
    let ready = ready.unwrap_or(true);
    if ready {
        return Some(EndpointState::Ready);
    }
    (serving.unwrap_or(ready) && terminating.unwrap_or(false)).then_some(EndpointState::Draining)
}

/// Addresses that the API server refuses in a slice (`ValidateNonSpecialIP`): whoever may write slices must
/// not aim the agent at its own node.
fn is_special(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    address.is_unspecified() || address.is_loopback() || address.is_multicast() || link_local
}

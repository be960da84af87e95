//! What an Ingress sends requests to: `IngressBackend`.

use std::num::NonZeroU16;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{IngressBackend, IngressServiceBackend, ServiceBackendPort};

use crate::digest::{Cause, Fault};
use crate::model::BackendPort;

/// What serves a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A port of a Service in the Ingress's namespace.
    Service {
        /// The Service's name.
        name: Arc<str>,
        /// Which of its ports.
        port: BackendPort,
    },
    /// It could not be read, or is nothing we can call: its requests are answered 503, so that no wider
    /// path answers for it.
    Refused,
}

impl Target {
    /// Reads a backend that stands in `field`.
    pub(super) fn parse(backend: IngressBackend, field: &str, faults: &mut Vec<Fault>) -> Self {
        let IngressBackend { resource, service } = backend;
        let read = match (service, resource) {
            (Some(service), None) => parse_service(service, field),
            (None, Some(resource)) => Err(Fault::refused(Cause::ResourceBackend, format!("{field}.resource"))
                .found(format!("{} `{}`", resource.kind, resource.name))
                .expected("a Service: resource backends are not supported")
                .change("name a Service in `service`")),
            (Some(_), Some(_)) => Err(Fault::refused(Cause::BackendBoth, field.to_owned())
                .found("both `service` and `resource`")
                .expected("exactly one of them, and a Service")
                .change("remove `resource`")),
            (None, None) => Err(Fault::refused(Cause::BackendNone, field.to_owned())
                .found("no `service`")
                .expected("`service` with `name` and `port`")
                .change("write `service: {name: NAME, port: {number: NUMBER}}` (`serviceName` and `servicePort` were v1beta1)")),
        };
        read.unwrap_or_else(|fault| {
            faults.push(fault.so("its requests are answered 503"));
            Self::Refused
        })
    }
}

fn parse_service(service: IngressServiceBackend, field: &str) -> Result<Target, Fault> {
    let IngressServiceBackend { name, port } = service;
    if name.is_empty() {
        return Err(
            Fault::refused(Cause::BackendName, format!("{field}.service.name"))
                .found("an empty name")
                .expected("a Service's name")
                .change("name the Service"),
        );
    }
    let ServiceBackendPort {
        name: port_name,
        number,
    } = port.unwrap_or_default();
    let wrong = |found: String| {
        Fault::refused(Cause::BackendPort, format!("{field}.service.port"))
            .found(found)
            .expected("either `number` (1-65535) or `name`")
            .change("write one of the Service's ports, by number or by name")
    };
    let port = match (number.filter(|&n| n != 0), port_name.filter(|n| !n.is_empty())) {
        (Some(number), None) => match u16::try_from(number).ok().and_then(NonZeroU16::new) {
            Some(number) => BackendPort::Number(number),
            None => return Err(wrong(format!("the number {number}"))),
        },
        (None, Some(name)) => BackendPort::Name(Arc::from(name)),
        (None, None) => return Err(wrong("no port".to_owned())),
        (Some(number), Some(name)) => {
            return Err(wrong(format!("both the number {number} and the name `{name}`")));
        }
    };
    Ok(Target::Service {
        name: Arc::from(name),
        port,
    })
}

//! The policies of a route: what its Ingress asks for, where the route stands.

use std::sync::Arc;

use crate::digest::Ingress;
use crate::digest::annotation::{SERVICE_NAME, SERVICE_PORT};
use crate::digest::ingress::Target;
use crate::model::{BackendPort, PathMatch, Policies};

/// Where a certificate authority asks whether a name is ours (RFC 8555 section 8.3): over HTTP.
const ACME: &str = "/.well-known/acme-challenge";

/// The policies of an Ingress's route. `secured`: its host has one in `spec.tls`, or a certificate.
pub(super) fn of(ingress: &Ingress, path: &PathMatch, target: &Target, secured: bool) -> Arc<Policies> {
    let annotations = &ingress.annotations;
    let mut policies = Arc::clone(&annotations.policies);
    let wanted = annotations.force_ssl_redirect || (annotations.ssl_redirect && secured);
    if wanted && !is_acme(path.path()) {
        Arc::make_mut(&mut policies).https_redirect = true;
    }
    if let (Some(host), Target::Service { name, port }) = (&policies.upstream.host, target)
        && host.contains('$')
    {
        let port = match port {
            BackendPort::Number(number) => number.to_string(),
            BackendPort::Name(name) => name.to_string(),
        };
        let host = host.replace(SERVICE_NAME, name).replace(SERVICE_PORT, &port);
        Arc::make_mut(&mut policies).upstream.host = Some(Arc::from(host));
    }
    policies
}

fn is_acme(path: &str) -> bool {
    path.strip_prefix(ACME)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

//! The policies of a route: what its Ingress asks for, where the route stands.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Entry;
use crate::digest::Ingress;
use crate::digest::annotation::{SERVICE_NAME, SERVICE_PORT};
use crate::digest::ingress::Target;
use crate::model::{BackendPort, Certificate, Host, PathMatch, Policies};

/// Where a certificate authority asks whether a name is ours (RFC 8555 section 8.3): over HTTP.
const ACME: &str = "/.well-known/acme-challenge";

/// The hosts that have an entry in `spec.tls` of any Ingress, or a certificate. Also one without a usable
/// Secret counts: its clients are shown the default certificate.
#[derive(Default)]
pub(super) struct Secured<'a> {
    names: HashSet<&'a str>,
    wildcards: HashSet<&'a str>,
}

impl<'a> Secured<'a> {
    pub(super) fn new(
        ingresses: &[&'a Entry<Ingress>],
        certificates: &'a BTreeMap<Host, Arc<Certificate>>,
    ) -> Self {
        let mut secured = Self::default();
        let entries = ingresses.iter().flat_map(|entry| &entry.value.tls);
        for host in entries.flat_map(|tls| &tls.hosts).chain(certificates.keys()) {
            match host {
                Host::Exact(name) => secured.names.insert(name),
                Host::Wildcard(suffix) => secured.wildcards.insert(suffix),
                Host::Any => false,
            };
        }
        secured
    }

    /// Whether a host is among them, by name or by a wildcard.
    pub(super) fn holds(&self, host: &Host) -> bool {
        match host {
            Host::Exact(name) => {
                let suffix = name.split_once('.').map(|(_, suffix)| suffix);
                self.names.contains(&**name) || suffix.is_some_and(|suffix| self.wildcards.contains(suffix))
            }
            Host::Wildcard(suffix) => self.wildcards.contains(&**suffix),
            Host::Any => false,
        }
    }
}

/// The policies of an Ingress's route. `secured`: its host has a certificate.
pub(super) fn of(ingress: &Ingress, path: &PathMatch, target: &Target, secured: bool) -> Policies {
    let annotations = &ingress.annotations;
    let mut policies = annotations.policies.clone();
    let wanted = annotations.force_ssl_redirect || (annotations.ssl_redirect && secured);
    policies.https_redirect = wanted && !is_acme(path.path());
    if let (Some(host), Target::Service { name, port }) = (&policies.upstream.host, target)
        && host.contains('$')
    {
        let port = match port {
            BackendPort::Number(number) => number.to_string(),
            BackendPort::Name(name) => name.to_string(),
        };
        let host = host.replace(SERVICE_NAME, name).replace(SERVICE_PORT, &port);
        policies.upstream.host = Some(Arc::from(host));
    }
    policies
}

fn is_acme(path: &str) -> bool {
    path.strip_prefix(ACME)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

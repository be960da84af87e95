//! From Ingress rules to hosts and routes.
//!
//! Ingresses come by precedence, so whoever claims first owns: a host and path of one kind belongs to one
//! Ingress, and every later claim is told whose it is. An Ingress's default backend serves what no rule of
//! any Ingress matches: on the hosts of its own rules, and, of the first Ingress that has one, everywhere.
//! A host is built from its own claims and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Entry;
use super::backends::Backends;
use super::host::{self, Claim};
use super::policies::Secured;
use super::report::Findings;
use crate::digest::annotation::Protection;
use crate::digest::{Fault, Ingress};
use crate::model::{Certificate, Host, Route, VirtualHost};

type Hosts = BTreeMap<Host, Arc<VirtualHost>>;

/// The hosts of the Ingresses and their default.
pub(super) fn build(
    ingresses: &[&Entry<Ingress>],
    certificates: &BTreeMap<Host, Arc<Certificate>>,
    backends: &mut Backends<'_>,
    findings: &mut Findings,
) -> (Hosts, Option<Arc<Route>>) {
    let mut claims: HashMap<&Host, Vec<Claim<'_>>> = HashMap::with_capacity(ingresses.len());
    for entry in ingresses {
        for fault in &entry.value.faults {
            findings.add(&entry.value.object, entry.place.as_ref(), fault.clone());
        }
        if entry.value.annotations.protection != Protection::NoRoutes {
            for rule in &entry.value.rules {
                claims.entry(&rule.host).or_default().push(Claim { entry, rule });
            }
        }
    }
    let secured = Secured::new(ingresses, certificates);
    let mut hosts = Hosts::new();
    for (host, claims) in claims {
        let built = host::build(host, &claims, secured.holds(host), backends);
        findings.extend(built.findings.iter());
        hosts.insert(host.clone(), built.host);
    }
    (hosts, default(ingresses, backends, findings))
}

/// What answers where no host and path does: the first default backend.
fn default(
    ingresses: &[&Entry<Ingress>],
    backends: &mut Backends<'_>,
    findings: &mut Findings,
) -> Option<Arc<Route>> {
    let mut default: Option<Arc<Route>> = None;
    for entry in ingresses {
        let ingress = &entry.value;
        if ingress.default_backend.is_none() || ingress.annotations.protection == Protection::NoRoutes {
            continue;
        }
        match &default {
            None => {
                let route = host::default_route(ingress, false, false, backends);
                if let Some((_, Some(fault))) = &route {
                    findings.add(&ingress.object, entry.place.as_ref(), fault.clone());
                }
                default = route.map(|(route, _)| route);
            }
            Some(owner) if ingress.rules.is_empty() => {
                let owner = &owner.origin;
                let fault = Fault::refused("default-backend-taken", "spec.defaultBackend")
                    .found(format!(
                        "a default backend for everything, which {owner} has already"
                    ))
                    .expected("one such Ingress")
                    .so(format!("{owner} goes first and serves what no rule matches"))
                    .change("remove one of the two default backends, or give this Ingress rules");
                findings.add(&ingress.object, entry.place.as_ref(), fault);
            }
            Some(_) => {}
        }
    }
    default
}

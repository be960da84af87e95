//! From Ingress rules to hosts and routes.
//!
//! Ingresses come by precedence, so whoever claims first owns: a host and path of one kind belongs to one
//! Ingress, and every later claim is told whose it is. An Ingress's default backend serves what no rule of
//! any Ingress matches: on the hosts of its own rules, and, of the first Ingress that has one, everywhere but
//! on hosts that its namespace closes.
//! A host is built from its own claims and nothing else, and only when one of them changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Entry;
use super::backends::{Backends, Resolved};
use super::host::{self, Around, Built, Claim, Using};
use super::policies::Secured;
use super::report::{Findings, Place};
use crate::digest::annotation::Protection;
use crate::digest::{Cause, Fault, Ingress};
use crate::model::{Action, Certificate, Host, Route, Site, VirtualHost};

/// What the last snapshot made of a site, and of what.
#[derive(Debug, Default)]
pub(super) struct Memo {
    hosts: HashMap<Host, Kept>,
    /// The backends of the site's default.
    used: Vec<Arc<Resolved>>,
    site: Arc<Site>,
    round: u64,
}

#[derive(Debug)]
struct Kept {
    claims: Vec<Input>,
    around: Around,
    built: Built,
    round: u64,
}

/// A claim as a host was made of it: an Ingress, where it stood, and the index of its rule.
type Input = (Arc<Ingress>, Option<Place>, usize);

/// Builds the site of the Ingresses, by precedence.
pub(super) fn build(
    ingresses: &[&Entry<Ingress>],
    certificates: BTreeMap<Host, Arc<Certificate>>,
    backends: &mut Backends<'_>,
    memo: &mut Memo,
    findings: &mut Findings,
) -> Arc<Site> {
    let claims = claims(ingresses, findings);
    let secured = Secured::new(ingresses, &certificates);
    let everywhere = defaults(ingresses)
        .next()
        .map(|entry| &entry.value.object.namespace);
    memo.round += 1;
    let mut changed: Vec<(&Host, Arc<VirtualHost>)> = Vec::new();
    for (host, claims) in claims {
        let around = Around {
            secured: secured.holds(host),
            rest_closed: claims.iter().any(|claim| {
                let ingress = &claim.entry.value;
                host::closes(ingress) && Some(&ingress.object.namespace) == everywhere
            }),
        };
        let kept = memo.hosts.get_mut(host);
        let kept = match kept.filter(|kept| kept.is_current(&claims, around, backends)) {
            Some(kept) => kept,
            None => {
                let built = host::build(host, &claims, around, backends);
                changed.push((host, Arc::clone(&built.host)));
                let kept = Kept {
                    claims: claims.iter().map(input).collect(),
                    around,
                    built,
                    round: memo.round,
                };
                memo.hosts.entry(host.clone()).insert_entry(kept).into_mut()
            }
        };
        kept.round = memo.round;
        findings.extend(kept.built.findings.iter());
    }
    let (default, used) = default(ingresses, backends, findings);
    memo.used = used;
    let default = default.map(|new| match &memo.site.default {
        Some(old) if same(old, &new) => Arc::clone(old),
        Some(_) | None => new,
    });
    memo.update(&changed, default, certificates);
    Arc::clone(&memo.site)
}

impl Memo {
    /// Makes the site anew when anything of it did change.
    fn update(
        &mut self,
        changed: &[(&Host, Arc<VirtualHost>)],
        default: Option<Arc<Route>>,
        certificates: BTreeMap<Host, Arc<Certificate>>,
    ) {
        let before = self.hosts.len();
        self.hosts.retain(|_, kept| kept.round == self.round);
        let site = &self.site;
        let unchanged = changed.is_empty()
            && self.hosts.len() == before
            && site.default.as_ref().map(Arc::as_ptr) == default.as_ref().map(Arc::as_ptr)
            && site.certificates.len() == certificates.len()
            && site
                .certificates
                .iter()
                .zip(&certificates)
                .all(|((old_host, old), (new_host, new))| old_host == new_host && Arc::ptr_eq(old, new));
        if unchanged {
            return;
        }
        let hosts = if changed.len() == self.hosts.len() {
            let all = changed
                .iter()
                .map(|(host, routes)| ((*host).clone(), Arc::clone(routes)));
            all.collect()
        } else {
            let mut hosts = site.hosts.clone();
            for (host, routes) in changed {
                hosts.insert((*host).clone(), Arc::clone(routes));
            }
            if hosts.len() != self.hosts.len() {
                hosts.retain(|host, _| self.hosts.contains_key(host));
            }
            hosts
        };
        self.site = Arc::new(Site {
            hosts,
            default,
            certificates,
        });
    }
}

impl Kept {
    fn is_current(&self, claims: &[Claim<'_>], around: Around, backends: &Backends<'_>) -> bool {
        self.around == around
            && self.claims.len() == claims.len()
            && self
                .claims
                .iter()
                .zip(claims)
                .all(|((ingress, place, rule), claim)| {
                    Arc::ptr_eq(ingress, &claim.entry.value)
                        && *rule == claim.rule.index
                        && *place == claim.entry.place
                })
            && self.built.used.iter().all(|used| backends.is_current(used))
    }
}

fn input(claim: &Claim<'_>) -> Input {
    let Entry { value, place, .. } = claim.entry;
    (Arc::clone(value), place.clone(), claim.rule.index)
}

/// Who claims which host, by precedence. Tells what is wrong with the Ingresses themselves.
fn claims<'a>(
    ingresses: &[&'a Entry<Ingress>],
    findings: &mut Findings,
) -> HashMap<&'a Host, Vec<Claim<'a>>> {
    let mut claims: HashMap<_, Vec<_>> = HashMap::with_capacity(ingresses.len());
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
    // A broken rule closes a host of its namespace's, and takes none from a wider one.
    claims.retain(|_, claims| claims.iter().any(|claim| !claim.rule.refused));
    claims
}

/// What answers where no host and path does: the first default backend. And the backends that it is made of.
fn default(
    ingresses: &[&Entry<Ingress>],
    backends: &mut Backends<'_>,
    findings: &mut Findings,
) -> (Option<Arc<Route>>, Vec<Arc<Resolved>>) {
    let mut backends = Using::new(backends);
    let mut default: Option<Arc<Route>> = None;
    for entry in defaults(ingresses) {
        let ingress = &entry.value;
        match &default {
            None => {
                let route = host::default_route(ingress, false, false, &mut backends);
                if let Some((_, Some(fault))) = &route {
                    findings.add(&ingress.object, entry.place.as_ref(), fault.clone());
                }
                default = route.map(|(route, _)| route);
            }
            Some(owner) if ingress.rules.is_empty() => {
                let owner = &owner.origin;
                let fault = Fault::refused(Cause::DefaultBackendTaken, "spec.defaultBackend")
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
    (default, backends.used)
}

/// The Ingresses with a default backend, by precedence.
fn defaults<'a>(ingresses: &[&'a Entry<Ingress>]) -> impl Iterator<Item = &'a Entry<Ingress>> {
    ingresses.iter().copied().filter(|entry| {
        let Ingress {
            default_backend,
            annotations,
            ..
        } = &*entry.value;
        default_backend.is_some() && annotations.protection != Protection::NoRoutes
    })
}

/// Whether two routes are made of the same.
fn same(a: &Route, b: &Route) -> bool {
    let Route {
        matches,
        action,
        policies,
        origin,
    } = a;
    let same_action = match (action, &b.action) {
        (Action::Forward(a), Action::Forward(b)) => Arc::ptr_eq(a, b),
        (Action::Refuse, Action::Refuse) => true,
        (Action::Forward(_), Action::Refuse) | (Action::Refuse, Action::Forward(_)) => false,
    };
    same_action && *matches == b.matches && *policies == b.policies && *origin == b.origin
}

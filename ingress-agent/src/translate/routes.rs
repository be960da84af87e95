//! From Ingress rules to hosts and routes.
//!
//! Ingresses come by precedence, so whoever claims first owns: a host and path of one kind belongs to one
//! Ingress, and every later claim is told whose it is. An Ingress's default backend serves what no rule of
//! any Ingress matches: on the hosts of its own rules, and, of the first Ingress that has one, everywhere but
//! on hosts that its namespace closes.
//! A host is built from the Ingresses that name it, its backends and whether it is secured, and from nothing
//! else: only when one of them changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::backends::{Backends, Resolved};
use super::certificates::{self, Chosen};
use super::host::{self, Around, Built, Claim, Using};
use super::readings::{Changes, Reading};
use super::report::{Finding, Findings};
use crate::digest::annotation::Protection;
use crate::digest::{Cause, Fault};
use crate::model::{Action, Certificate, Host, ObjectRef, Route, Site, VirtualHost};

/// What the last snapshot made of a site, and of what.
#[derive(Debug, Default)]
pub(super) struct Memo {
    hosts: HashMap<Host, Kept>,
    /// The parents of the wildcard hosts that are secured.
    wildcards: HashSet<Arc<str>>,
    /// The Ingresses of which something is to be said, by address.
    faulty: HashMap<usize, Arc<Reading>>,
    default: Fallback,
    site: Arc<Site>,
}

/// A host, and the Ingresses that name it, by precedence.
#[derive(Debug, Default)]
struct Kept {
    readings: Vec<Arc<Reading>>,
    chosen: Chosen,
    /// `None`: it is named for TLS only.
    built: Option<Built>,
}

/// What answers where no host and path does.
#[derive(Debug, Default)]
struct Fallback {
    /// The Ingresses that have a default backend, by precedence.
    readings: Vec<Arc<Reading>>,
    route: Option<Arc<Route>>,
    findings: Vec<Finding>,
    /// The backends that it was made of.
    used: Vec<Arc<Resolved>>,
}

/// What is another than before; `None`: gone.
type Changed<T> = Vec<(Host, Option<Arc<T>>)>;

impl Memo {
    /// The site of the Ingresses after some changes.
    pub(super) fn update(
        &mut self,
        changes: &Changes,
        backends: &mut Backends<'_>,
        findings: &mut Findings,
    ) -> Arc<Site> {
        let mut dirty = self.take_over(changes);
        let certificates = self.choose(&mut dirty);
        if !backends.are_current() {
            let hosts = self.hosts.iter();
            let outdated = hosts.filter(|(_, kept)| !kept.is_current(backends));
            dirty.extend(outdated.map(|(host, _)| host.clone()));
        }
        let owner = self.default.namespace().cloned();
        let default_changed = self.default.update(changes, backends);
        if self.default.namespace() != owner.as_ref() {
            let hosts = self.hosts.iter();
            let closed = hosts.filter(|(_, kept)| kept.is_closed());
            dirty.extend(closed.map(|(host, _)| host.clone()));
        }
        let hosts = self.build(&dirty, backends);
        for host in &dirty {
            if self.hosts.get(host).is_some_and(|kept| kept.readings.is_empty()) {
                self.hosts.remove(host);
            }
        }
        if default_changed || !hosts.is_empty() || !certificates.is_empty() {
            self.site = Arc::new(Site {
                hosts: self.site.hosts.with(hosts),
                default: self.default.route.clone(),
                certificates: self.site.certificates.with(certificates),
            });
        }
        self.tell(findings);
        Arc::clone(&self.site)
    }

    /// Enters the changes. The hosts that they name.
    fn take_over(&mut self, changes: &Changes) -> HashSet<Host> {
        let mut dirty = HashSet::with_capacity(changes.gone.len() + changes.new.len());
        for reading in &changes.gone {
            self.faulty.remove(&Arc::as_ptr(reading).addr());
            for host in reading.hosts() {
                if let Some(kept) = self.hosts.get_mut(host) {
                    remove(&mut kept.readings, reading);
                    dirty.insert(host.clone());
                }
            }
        }
        for reading in &changes.new {
            if !reading.findings.is_empty() {
                self.faulty
                    .insert(Arc::as_ptr(reading).addr(), Arc::clone(reading));
            }
            for host in reading.hosts() {
                let kept = self.hosts.entry(host.clone()).or_default();
                insert(&mut kept.readings, reading);
                dirty.insert(host.clone());
            }
        }
        dirty
    }

    /// Chooses the certificates of the hosts, and adds the hosts that are, or are no longer, secured by a
    /// wildcard among them.
    fn choose(&mut self, dirty: &mut HashSet<Host>) -> Changed<Certificate> {
        let mut changed = Vec::new();
        let mut parents: HashSet<Arc<str>> = HashSet::new();
        for host in &*dirty {
            let Some(kept) = self.hosts.get_mut(host) else {
                continue;
            };
            let last = std::mem::replace(&mut kept.chosen, certificates::choose(host, &kept.readings));
            let Chosen {
                certificate, secured, ..
            } = &kept.chosen;
            if certificate.as_ref().map(Arc::as_ptr) != last.certificate.as_ref().map(Arc::as_ptr) {
                changed.push((host.clone(), certificate.clone()));
            }
            if let Host::Wildcard(parent) = host
                && *secured != last.secured
            {
                parents.insert(Arc::clone(parent));
                if *secured {
                    self.wildcards.insert(Arc::clone(parent));
                } else {
                    self.wildcards.remove(parent);
                }
            }
        }
        let hosts = self.hosts.keys().filter(|_| !parents.is_empty());
        let beneath = hosts.filter(|host| parent(host).is_some_and(|parent| parents.contains(parent)));
        dirty.extend(beneath.cloned());
        changed
    }

    /// Builds hosts. One that turns out as it was stays the same.
    fn build(&mut self, dirty: &HashSet<Host>, backends: &mut Backends<'_>) -> Changed<VirtualHost> {
        let mut changed = Vec::new();
        for host in dirty {
            let Some(kept) = self.hosts.get_mut(host) else {
                continue;
            };
            let secured =
                kept.chosen.secured || parent(host).is_some_and(|parent| self.wildcards.contains(parent));
            let claims = claims(host, &kept.readings);
            let around = Around {
                secured,
                rest_closed: claims.iter().any(|claim| {
                    let ingress = &claim.entry.value;
                    host::closes(ingress) && Some(&ingress.object.namespace) == self.default.namespace()
                }),
            };
            let built = (!claims.is_empty()).then(|| host::build(host, &claims, around, backends));
            let last = std::mem::replace(&mut kept.built, built);
            match (&mut kept.built, last) {
                (Some(built), Some(last)) if same_routes(&built.host, &last.host) => built.host = last.host,
                (Some(built), _) => changed.push((host.clone(), Some(Arc::clone(&built.host)))),
                (None, Some(_)) => changed.push((host.clone(), None)),
                (None, None) => {}
            }
        }
        changed
    }

    fn tell(&self, findings: &mut Findings) {
        findings.extend(self.faulty.values().flat_map(|reading| &reading.findings));
        findings.extend(&self.default.findings);
        for Kept { chosen, built, .. } in self.hosts.values() {
            findings.extend(&chosen.findings);
            findings.extend(built.iter().flat_map(|built| &built.findings));
        }
    }
}

impl Kept {
    /// Whether an Ingress closes the host to its namespace.
    fn is_closed(&self) -> bool {
        let mut ingresses = self.readings.iter().map(|reading| &reading.entry.value);
        ingresses.any(|ingress| host::closes(ingress))
    }

    fn is_current(&self, backends: &Backends<'_>) -> bool {
        let mut used = self.built.iter().flat_map(|built| &built.used);
        used.all(|used| backends.is_current(used))
    }
}

/// By precedence.
fn insert(readings: &mut Vec<Arc<Reading>>, reading: &Arc<Reading>) {
    let precedence = &reading.entry.precedence;
    let at = readings.partition_point(|other| other.entry.precedence <= *precedence);
    readings.insert(at, Arc::clone(reading));
}

fn remove(readings: &mut Vec<Arc<Reading>>, reading: &Arc<Reading>) {
    readings.retain(|other| !Arc::ptr_eq(other, reading));
}

/// All but the first label of a name.
fn parent(host: &Host) -> Option<&str> {
    match host {
        Host::Exact(name) => name.split_once('.').map(|(_, parent)| parent),
        Host::Wildcard(_) | Host::Any => None,
    }
}

/// Who claims a host, by precedence. Broken rules close a host of their namespace's, and by themselves claim none:
/// they would take it from a wider one.
fn claims<'a>(host: &Host, readings: &'a [Arc<Reading>]) -> Vec<Claim<'a>> {
    let served = readings
        .iter()
        .map(|reading| (&reading.entry, reading.controller));
    let served = served.filter(|(entry, _)| entry.value.annotations.protection != Protection::NoRoutes);
    let claims = served.flat_map(|(entry, controller)| {
        let rules = entry.value.rules.iter().filter(|rule| rule.host == *host);
        rules.map(move |rule| Claim {
            entry,
            controller,
            rule,
        })
    });
    let claims: Vec<_> = claims.collect();
    if claims.iter().all(|claim| claim.rule.refused) {
        return Vec::new();
    }
    claims
}

impl Fallback {
    /// Whose default backend it is.
    fn namespace(&self) -> Option<&Arc<str>> {
        self.readings
            .first()
            .map(|reading| &reading.entry.value.object.namespace)
    }

    /// Takes over some changes. Whether the route is another.
    fn update(&mut self, changes: &Changes, backends: &mut Backends<'_>) -> bool {
        let is_one = |reading: &&Arc<Reading>| {
            let ingress = &reading.entry.value;
            ingress.default_backend.is_some() && ingress.annotations.protection != Protection::NoRoutes
        };
        let (gone, new) = (
            changes.gone.iter().filter(is_one),
            changes.new.iter().filter(is_one),
        );
        let (mut gone, mut new) = (gone.peekable(), new.peekable());
        let is_same = gone.peek().is_none() && new.peek().is_none();
        if is_same && self.used.iter().all(|used| backends.is_current(used)) {
            return false;
        }
        gone.for_each(|reading| remove(&mut self.readings, reading));
        new.for_each(|reading| insert(&mut self.readings, reading));
        let last = self.route.take();
        self.choose(backends);
        match (&self.route, last) {
            (Some(new), Some(last)) if same(new, &last) => {
                self.route = Some(last);
                false
            }
            (None, None) => false,
            (Some(_), _) | (None, Some(_)) => true,
        }
    }

    /// The first default backend is everybody's.
    fn choose(&mut self, backends: &mut Backends<'_>) {
        let mut backends = Using::new(backends);
        self.findings.clear();
        for reading in &self.readings {
            let ingress = &reading.entry.value;
            match &self.route {
                None => {
                    if let Some((route, fault)) = host::default_route(ingress, false, false, &mut backends) {
                        self.findings.extend(fault.map(|fault| reading.finding(fault)));
                        self.route = Some(route);
                    }
                }
                Some(owner) if ingress.rules.is_empty() => {
                    self.findings.push(reading.finding(taken(&owner.origin)));
                }
                Some(_) => {}
            }
        }
        self.used = backends.used;
    }
}

fn taken(owner: &ObjectRef) -> Fault {
    Fault::refused(Cause::DefaultBackendTaken, "spec.defaultBackend")
        .found(format!(
            "a default backend for everything, which {owner} has already"
        ))
        .expected("one such Ingress")
        .so(format!("{owner} goes first and serves what no rule matches"))
        .change("remove one of the two default backends, or give this Ingress rules")
}

fn same_routes(a: &VirtualHost, b: &VirtualHost) -> bool {
    let pairs = a.routes.iter().zip(&b.routes);
    a.routes.len() == b.routes.len() && pairs.into_iter().all(|(a, b)| same(a, b))
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

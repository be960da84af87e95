//! From Ingress rules to hosts and routes.
//!
//! Ingresses come by precedence, so whoever claims first owns: a host and path of one kind belongs to one
//! Ingress, and every later claim is told whose it is. An Ingress's default backend serves what no rule of
//! any Ingress matches: on the hosts of its own rules, and, of the first Ingress that has one, everywhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;

use super::annotation::{self, Protection};
use super::backends::Backends;
use super::report::Findings;
use super::{Entry, Place};
use crate::digest::ingress::Target;
use crate::digest::{Fault, Ingress};
use crate::model::{Action, BackendId, Host, ObjectRef, PathMatch, Policies, Route, RouteMatch, VirtualHost};

type Hosts = BTreeMap<Host, Arc<VirtualHost>>;

/// The hosts of the Ingresses and their default.
pub(super) fn build(
    ingresses: &[&Entry<Ingress>],
    backends: &mut Backends<'_>,
    findings: &mut Findings,
) -> (Hosts, Option<Arc<Route>>) {
    let mut claims = Claims::default();
    for entry in ingresses {
        let mut author = Author::new(entry, findings);
        for fault in &entry.value.faults {
            author.tell(fault.clone());
        }
        for fault in annotation::judge(&entry.value.annotations) {
            author.tell(fault);
        }
        claims.rules(&mut author, backends);
    }
    for entry in ingresses {
        claims.default_backend(&mut Author::new(entry, findings), backends);
    }
    let hosts = claims
        .hosts
        .into_iter()
        .map(|(host, routes)| (host, Arc::new(sort(routes))))
        .collect();
    (hosts, claims.default)
}

/// Best first. Paths of one rank never match the same request, so their text only makes the order stable.
fn sort(routes: BTreeMap<PathKey, Arc<Route>>) -> VirtualHost {
    let mut routes: Vec<_> = routes.into_values().collect();
    routes.sort_by(|a, b| {
        let (a, b) = (&a.matches.path, &b.matches.path);
        a.summary().cmp(&b.summary()).then_with(|| a.path().cmp(b.path()))
    });
    VirtualHost { routes }
}

/// A host's paths are told apart by kind and text.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct PathKey {
    exact: bool,
    path: Arc<str>,
}

impl PathKey {
    fn new(path: &PathMatch) -> Self {
        match path {
            PathMatch::Exact(path) => Self {
                exact: true,
                path: Arc::clone(path),
            },
            PathMatch::Prefix(path) => Self {
                exact: false,
                path: Arc::clone(path),
            },
        }
    }
}

/// An Ingress while its claims are made.
struct Author<'a> {
    ingress: &'a Ingress,
    place: Option<&'a Place>,
    protection: Protection,
    findings: &'a mut Findings,
}

impl<'a> Author<'a> {
    fn new(entry: &'a Entry<Ingress>, findings: &'a mut Findings) -> Self {
        Self {
            ingress: &entry.value,
            place: entry.place.as_ref(),
            protection: annotation::protection(&entry.value.annotations),
            findings,
        }
    }

    fn tell(&mut self, fault: Fault) {
        self.findings.add(&self.ingress.object, self.place, fault);
    }

    /// What is done with requests for a target that stands in `field`.
    fn action(
        &mut self,
        target: &Target,
        field: impl FnOnce() -> String,
        backends: &mut Backends<'_>,
    ) -> Action {
        let Target::Service { name, port } = target else {
            return Action::Refuse;
        };
        let resolved = backends.get(BackendId {
            namespace: Arc::clone(&self.ingress.object.namespace),
            service: Arc::clone(name),
            port: port.clone(),
        });
        let backend = Arc::clone(&resolved.backend);
        if let Some(fault) = resolved.fault.clone() {
            self.tell(Fault {
                field: field().into(),
                ..fault
            });
        }
        match self.protection {
            Protection::None => Action::Forward(backend),
            Protection::Unhonoured | Protection::NoRoutes => Action::Refuse,
        }
    }

    fn route(&self, path: PathMatch, action: Action) -> Arc<Route> {
        Arc::new(Route {
            matches: RouteMatch { path },
            action,
            policies: Policies::default(),
            origin: self.ingress.object.clone(),
        })
    }
}

#[derive(Default)]
struct Claims {
    hosts: BTreeMap<Host, BTreeMap<PathKey, Arc<Route>>>,
    /// The hosts whose `/` is a default backend's.
    default: Option<Arc<Route>>,
}

impl Claims {
    fn rules(&mut self, author: &mut Author<'_>, backends: &mut Backends<'_>) {
        if author.protection == Protection::NoRoutes {
            return;
        }
        for rule in &author.ingress.rules {
            let routes = self.hosts.entry(rule.host.clone()).or_default();
            for path in &rule.paths {
                let field = || format!("spec.rules[{}].http.paths[{}]", rule.index, path.index);
                match routes.entry(PathKey::new(&path.path)) {
                    Slot::Vacant(free) => {
                        let action = author.action(&path.target, || format!("{}.backend", field()), backends);
                        free.insert(author.route(path.path.clone(), action));
                    }
                    Slot::Occupied(taken) => {
                        let owner = taken.get().origin.clone();
                        author.tell(lost(
                            field(),
                            &rule.host,
                            path.path.path(),
                            &owner,
                            &author.ingress.object,
                        ));
                    }
                }
            }
        }
    }

    /// After all rules, so that a rule for `/` beats every default backend.
    fn default_backend(&mut self, author: &mut Author<'_>, backends: &mut Backends<'_>) {
        let Some(target) = &author.ingress.default_backend else {
            return;
        };
        if author.protection == Protection::NoRoutes {
            return;
        }
        let field = || "spec.defaultBackend".to_owned();
        let action = author.action(target, || format!("{}.service", field()), backends);
        let route = author.route(PathMatch::prefix("/"), action);
        for rule in &author.ingress.rules {
            let routes = self.hosts.entry(rule.host.clone()).or_default();
            routes
                .entry(PathKey::new(&route.matches.path))
                .or_insert_with(|| Arc::clone(&route));
        }
        match &self.default {
            None => self.default = Some(route),
            Some(owner) if author.ingress.rules.is_empty() => {
                let owner = owner.origin.clone();
                author.tell(
                    Fault::refused("default-backend-taken", field())
                        .found(format!(
                            "a default backend for everything, which {owner} has already"
                        ))
                        .expected("one such Ingress")
                        .so(format!("{owner} goes first and serves what no rule matches"))
                        .change("remove one of the two default backends, or give this Ingress rules"),
                );
            }
            Some(_) => {}
        }
    }
}

fn lost(field: String, host: &Host, path: &str, owner: &ObjectRef, author: &ObjectRef) -> Fault {
    let whose = if owner == author {
        "an earlier rule of this Ingress".to_owned()
    } else {
        owner.to_string()
    };
    Fault::refused("path-taken", field)
        .found(format!(
            "host `{host}` and path `{path}`, which {whose} has already"
        ))
        .expected("a host and path that no older Ingress has")
        .so(format!("{whose} goes first and answers these requests"))
        .change("remove one of the two, or change its host or path")
}

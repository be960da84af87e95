//! One host: from the claims of Ingresses to its routes.
//!
//! In: the host, the rules that claim it by precedence, and whether it has a certificate. Out: its routes
//! and what the rules' authors should know. Looks at nothing else, so that a host whose claims and backends
//! are the same is the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use super::backends::{Backends, Resolved};
use super::classes::Controller;
use super::report::Finding;
use super::{Entry, policies};
use crate::digest::annotation::Protection;
use crate::digest::ingress::{Path, Rule, Target};
use crate::digest::{Cause, Fault, Ingress};
use crate::model::{Action, BackendId, Host, ObjectRef, PathMatch, Route, RouteMatch, VirtualHost};

/// A rule that claims a host.
#[derive(Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) entry: &'a Entry<Ingress>,
    pub(super) controller: Controller,
    pub(super) rule: &'a Rule,
}

/// A host, and what is to be said about the claims to it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) host: Arc<VirtualHost>,
    pub(super) findings: Vec<Finding>,
    /// The backends that it was made of.
    pub(super) used: Vec<Arc<Resolved>>,
}

/// A host's routes by what they match: kind and text.
type Routes = HashMap<PathMatch, Arc<Route>>;

/// The backends, remembering which were asked for.
pub(super) struct Using<'b, 'a> {
    pub(super) backends: &'b mut Backends<'a>,
    pub(super) used: Vec<Arc<Resolved>>,
}

impl<'b, 'a> Using<'b, 'a> {
    pub(super) fn new(backends: &'b mut Backends<'a>) -> Self {
        Self {
            backends,
            used: Vec::new(),
        }
    }

    fn get(&mut self, id: BackendId) -> Arc<Resolved> {
        let resolved = self.backends.get(id);
        self.used.push(Arc::clone(&resolved));
        resolved
    }
}

/// What the rest of the site says about a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// It has an entry in `spec.tls`, or a certificate.
    pub(super) secured: bool,
    /// What the site's default backend would answer on it is closed.
    pub(super) rest_closed: bool,
}

/// Builds a host.
pub(super) fn build(host: &Host, claims: &[Claim<'_>], around: Around, backends: &mut Backends<'_>) -> Built {
    let Around { secured, rest_closed } = around;
    let mut backends = Using::new(backends);
    let mut routes: Routes = HashMap::new();
    let mut findings = Vec::new();
    for claim in claims {
        let ingress = &claim.entry.value;
        let closer = closer(claims, ingress);
        let mut tell = |fault| findings.push(claim.finding(fault));
        if let Some(closer) = closer {
            tell(closed(host, claim.rule, closer));
        }
        for path in &claim.rule.paths {
            let field = || format!("spec.rules[{}].http.paths[{}]", claim.rule.index, path.index);
            let matched = claim.controller.matched(path);
            match routes.entry(matched.clone()) {
                Slot::Vacant(free) => {
                    let (action, fault) = action(ingress, &path.target, closer.is_some(), &mut backends);
                    fault.into_iter().for_each(|fault| {
                        tell(Fault {
                            field: format!("{}.backend", field()).into(),
                            ..fault
                        });
                    });
                    free.insert(route(ingress, matched.clone(), &path.target, action, secured));
                }
                Slot::Occupied(taken) => {
                    let owner = &taken.get().origin;
                    tell(lost(field(), host, matched.path(), owner, &ingress.object));
                }
            }
        }
    }
    // After all rules, so that a rule for `/` beats every default backend.
    for claim in claims {
        let ingress = &claim.entry.value;
        let closed = closer(claims, ingress).is_some();
        let default = default_route(ingress, closed, secured, &mut backends);
        if let Some((route, faults)) = default {
            findings.extend(faults.into_iter().map(|fault| claim.finding(fault)));
            routes.entry(route.matches.path.clone()).or_insert(route);
        }
    }
    if rest_closed
        && let Some(closer) = claims
            .iter()
            .map(|claim| &claim.entry.value)
            .find(|it| closes(it))
    {
        let root = PathMatch::prefix("/");
        routes
            .entry(root.clone())
            .or_insert_with(|| route(closer, root, &Target::Refused, Action::Refuse, secured));
    }
    Built {
        host: Arc::new(sort(routes)),
        findings,
        used: backends.used,
    }
}

/// The route of an Ingress's default backend, and what is wrong with it.
pub(super) fn default_route(
    ingress: &Ingress,
    closed: bool,
    secured: bool,
    backends: &mut Using<'_, '_>,
) -> Option<(Arc<Route>, Option<Fault>)> {
    let target = ingress.default_backend.as_ref()?;
    let (action, fault) = action(ingress, target, closed, backends);
    let fault = fault.map(|fault| Fault {
        field: "spec.defaultBackend.service".into(),
        ..fault
    });
    Some((
        route(ingress, PathMatch::prefix("/"), target, action, secured),
        fault,
    ))
}

/// The other Ingress of the same namespace that closes a host.
fn closer<'a>(claims: &[Claim<'a>], ingress: &Ingress) -> Option<&'a ObjectRef> {
    let mut closers = claims.iter().map(|claim| &claim.entry.value).filter(|other| {
        closes(other) && other.object.namespace == ingress.object.namespace && other.object != ingress.object
    });
    closers.next().map(|closer| &closer.object)
}

/// Whether an Ingress closes its hosts to its namespace.
pub(super) fn closes(ingress: &Ingress) -> bool {
    ingress.annotations.protection == Protection::HostsClosed
}

/// What is done with requests for a target; the fault lacks its field.
fn action(
    ingress: &Ingress,
    target: &Target,
    closed: bool,
    backends: &mut Using<'_, '_>,
) -> (Action, Option<Fault>) {
    let Target::Service { name, port } = target else {
        return (Action::Refuse, None);
    };
    let resolved = backends.get(BackendId {
        namespace: Arc::clone(&ingress.object.namespace),
        service: Arc::clone(name),
        port: port.clone(),
    });
    let action = match ingress.annotations.protection {
        Protection::Served if !closed => Action::Forward(Arc::clone(&resolved.backend)),
        Protection::Served | Protection::Closed | Protection::HostsClosed | Protection::NoRoutes => {
            Action::Refuse
        }
    };
    (action, resolved.fault.clone())
}

fn route(ingress: &Ingress, path: PathMatch, target: &Target, action: Action, secured: bool) -> Arc<Route> {
    Arc::new(Route {
        policies: policies::of(ingress, &path, target, secured),
        matches: RouteMatch { path },
        action,
        origin: ingress.object.clone(),
    })
}

/// Best first. Paths of one rank never match the same request, so their text only makes the order stable.
fn sort(routes: Routes) -> VirtualHost {
    let mut routes: Vec<_> = routes.into_values().collect();
    routes.sort_by(|a, b| {
        let (a, b) = (&a.matches.path, &b.matches.path);
        a.summary().cmp(&b.summary()).then_with(|| a.path().cmp(b.path()))
    });
    VirtualHost { routes }
}

impl Controller {
    /// What a path of such an Ingress matches.
    fn matched(self, path: &Path) -> &PathMatch {
        match self {
            Self::Own => &path.path,
            Self::IngressNginx => path.nginx.as_ref().unwrap_or(&path.path),
        }
    }
}

impl Claim<'_> {
    fn finding(&self, fault: Fault) -> Finding {
        Finding {
            object: self.entry.value.object.clone(),
            place: self.entry.place.clone(),
            fault,
        }
    }
}

fn closed(host: &Host, rule: &Rule, closer: &ObjectRef) -> Fault {
    Fault::refused(Cause::HostClosed, format!("spec.rules[{}].host", rule.index))
        .found(format!(
            "host `{host}`, for which {closer} asks for what is not honoured yet"
        ))
        .expected("no annotation that acts on a whole host among the namespace's Ingresses for it")
        .so("the rule's routes answer 503 rather than go without it")
        .change(format!(
            "remove the annotation from {closer}, or give it a host of its own"
        ))
}

fn lost(field: String, host: &Host, path: &str, owner: &ObjectRef, author: &ObjectRef) -> Fault {
    let whose = if owner == author {
        "an earlier rule of this Ingress".to_owned()
    } else {
        owner.to_string()
    };
    Fault::refused(Cause::PathTaken, field)
        .found(format!(
            "host `{host}` and path `{path}`, which {whose} has already"
        ))
        .expected("a host and path that no older Ingress has")
        .so(format!("{whose} goes first and answers these requests"))
        .change("remove one of the two, or change its host or path")
}

//! From a Service's port, as an Ingress names it, to endpoints.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use super::index::{Index, Names};
use super::loops::Loops;
use super::readings::Readings;
use super::report::Findings;
use super::{Entry, Snapshot};
use crate::digest::ingress::Target;
use crate::digest::{Cause, Endpoints, Fault, Ingress};
use crate::model::{Backend, BackendId, BackendPort, Endpoint, EndpointState};

/// What the last snapshot's backends were.
#[derive(Debug, Default)]
pub(super) struct Memo {
    known: HashMap<BackendId, Arc<Resolved>>,
    loops: Loops,
}

/// Every backend once, however many routes name it.
pub(super) struct Backends<'a> {
    index: &'a Index,
    memo: &'a mut Memo,
    /// Backends of the last snapshot that are no longer the same. They are held so that no other has their
    /// address.
    stale: HashMap<usize, Arc<Resolved>>,
}

/// A backend, and what is wrong with it; the fault lacks its field.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Resolved {
    pub(super) backend: Arc<Backend>,
    pub(super) fault: Option<Fault>,
}

impl<'a> Backends<'a> {
    /// `loops`: what no endpoint may be. `touched`: the Services that are others now.
    pub(super) fn new(index: &'a Index, loops: Loops, touched: &Names, memo: &'a mut Memo) -> Self {
        let mut stale = HashMap::new();
        let same_loops = memo.loops == loops;
        memo.loops = loops;
        let Memo { known, loops } = memo;
        let any = !same_loops || !touched.is_empty();
        for (id, resolved) in known.iter_mut().filter(|_| any) {
            // What is said of a missing Service names the nearest of all others.
            let nearest = touched.renamed && resolved.is_missing();
            if same_loops && !nearest && !touched.contains(&id.namespace, &id.service) {
                continue;
            }
            let new = resolve(id, index, loops);
            if new != **resolved {
                let old = std::mem::replace(resolved, Arc::new(new));
                stale.insert(Arc::as_ptr(&old).addr(), old);
            }
        }
        Self { index, memo, stale }
    }

    /// The backend of that name; the same one for the same name.
    pub(super) fn get(&mut self, id: BackendId) -> Arc<Resolved> {
        let Self { index, memo, .. } = self;
        let Memo { known, loops } = &mut **memo;
        let resolved = known
            .entry(id)
            .or_insert_with_key(|id| Arc::new(resolve(id, index, loops)));
        Arc::clone(resolved)
    }

    /// Whether no backend of the last snapshot is another in this one.
    pub(super) fn are_current(&self) -> bool {
        self.stale.is_empty()
    }

    /// Whether a backend of the last snapshot is the same in this one.
    pub(super) fn is_current(&self, resolved: &Arc<Resolved>) -> bool {
        !self.stale.contains_key(&Arc::as_ptr(resolved).addr())
    }

    /// Forgets those that nothing but the memo holds: no host names them any more.
    pub(super) fn forget_unused(self) {
        self.memo
            .known
            .retain(|_, resolved| Arc::strong_count(resolved) > 1);
    }
}

impl Resolved {
    fn is_missing(&self) -> bool {
        self.fault
            .as_ref()
            .is_some_and(|fault| fault.cause == Cause::ServiceMissing)
    }
}

fn resolve(id: &BackendId, index: &Index, loops: &Loops) -> Resolved {
    let (mut endpoints, mut fault) = match find(id, index) {
        Ok(endpoints) => (endpoints, None),
        Err(fault) => (Vec::new(), Some(fault.so("its requests are answered 503"))),
    };
    // Called, it would come back to us.
    endpoints.retain(|endpoint| match loops.at(endpoint.address) {
        Some(what) => {
            fault = Some(endpoint_is_ours(id, endpoint.address, what));
            false
        }
        None => true,
    });
    let id = id.clone();
    Resolved {
        backend: Arc::new(Backend { id, endpoints }),
        fault,
    }
}

fn endpoint_is_ours(id: &BackendId, address: SocketAddr, what: &str) -> Fault {
    Fault::degraded(Cause::EndpointVip, "")
        .found(format!(
            "Service {}/{} with the endpoint {address}, which is {what}",
            id.namespace, id.service
        ))
        .expected("addresses of pods")
        .so("the endpoint is not called, since its requests would come back here")
        .change("take the address out of the Service's EndpointSlices")
}

/// `ServiceBackendPort` names a port of the Service; its EndpointSlices name their ports by that port's name.
fn find(id: &BackendId, index: &Index) -> Result<Vec<Endpoint>, Fault> {
    let BackendId {
        namespace,
        service: name,
        port,
    } = id;
    let Some(service) = index.service(namespace, name) else {
        return Err(Fault::degraded(Cause::ServiceMissing, "")
            .found(format!("Service {namespace}/{name}, which does not exist"))
            .expected("a Service of the Ingress's namespace")
            .nearest(index.nearest_service(namespace, name))
            .change(format!("create the Service `{name}`, or correct the name")));
    };
    if let Some(external) = &service.external_name {
        return Err(Fault::degraded(Cause::ServiceExternalName, "")
            .found(format!(
                "Service {namespace}/{name} of type ExternalName (`{external}`)"
            ))
            .expected("a Service with endpoints: names outside the cluster are not called")
            .change("use a Service with a selector, or with EndpointSlices of its own"));
    }
    let matches = |number, name: &Arc<str>| match port {
        BackendPort::Number(wanted) => *wanted == number,
        BackendPort::Name(wanted) => wanted == name,
    };
    let found = service
        .ports
        .iter()
        .find(|port| port.tcp && matches(port.number, &port.name));
    let Some(found) = found else {
        let ports = service.ports.iter().filter(|port| port.tcp);
        let ports: Vec<_> = ports
            .map(|port| match &*port.name {
                "" => port.number.to_string(),
                name => format!("{} `{name}`", port.number),
            })
            .collect();
        let wanted = match port {
            BackendPort::Number(number) => number.to_string(),
            BackendPort::Name(name) => format!("`{name}`"),
        };
        return Err(Fault::degraded(Cause::ServicePortMissing, "")
            .found(format!("port {wanted}"))
            .expected(format!(
                "a TCP port of Service {namespace}/{name}, which has {}",
                list(&ports)
            ))
            .change("name one of the Service's ports, by its number or its name"));
    };
    let endpoints = merge(index.endpoints(namespace, name), &found.name);
    if endpoints.is_empty() {
        return Err(Fault::degraded(Cause::NoEndpoints, "")
            .found(format!(
                "Service {namespace}/{name} without a ready endpoint for its port {}",
                found.number
            ))
            .expected("an EndpointSlice of the Service with a ready endpoint")
            .change("start its pods, or see why they are not ready"));
    }
    Ok(endpoints)
}

fn list(ports: &[String]) -> String {
    if ports.is_empty() {
        "none".to_owned()
    } else {
        ports.join(", ")
    }
}

/// Several slices of a Service, as one. An address may stand in two of them while it moves; then the
/// better state counts.
fn merge(slices: &[Arc<Endpoints>], port: &Arc<str>) -> Vec<Endpoint> {
    let mut merged: BTreeMap<SocketAddr, EndpointState> = BTreeMap::new();
    for slice in slices {
        let ports = slice.ports.iter().filter(|(name, _)| name == port);
        for (_, number) in ports {
            for (address, state) in &slice.addresses {
                let known = merged
                    .entry(SocketAddr::new(*address, number.get()))
                    .or_insert(*state);
                *known = (*known).min(*state);
            }
        }
    }
    merged
        .into_iter()
        .map(|(address, state)| Endpoint { address, state })
        .collect()
}

/// Says what is wrong with the EndpointSlices that our Ingresses call.
pub(super) fn judge(snapshot: &Snapshot, readings: &Readings, index: &Index, findings: &mut Findings) {
    if !index.has_faulty_slices() {
        return;
    }
    let faulty = snapshot
        .endpoints
        .iter()
        .filter(|slice| !slice.value.faults.is_empty());
    let mut faulty_of: HashMap<(&str, &str), Vec<&Entry<Endpoints>>> = HashMap::new();
    for slice in faulty {
        if let Some(service) = &slice.value.service {
            let key = (&*slice.value.object.namespace, &**service);
            faulty_of.entry(key).or_default().push(slice);
        }
    }
    let called = readings.iter().flat_map(|reading| services(&reading.entry.value));
    // Each is told once, however many call it.
    for slice in called.filter_map(|service| faulty_of.remove(&service)).flatten() {
        for fault in &slice.value.faults {
            findings.add(&slice.value.object, slice.place.as_ref(), fault.clone());
        }
    }
}

fn services(ingress: &Ingress) -> impl Iterator<Item = (&str, &str)> {
    let paths = ingress.rules.iter().flat_map(|rule| &rule.paths);
    let targets = paths.map(|path| &path.target).chain(&ingress.default_backend);
    targets.filter_map(|target| match target {
        Target::Service { name, .. } => Some((&*ingress.object.namespace, &**name)),
        Target::Refused => None,
    })
}

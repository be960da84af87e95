//! What a snapshot means: the model, and what its objects' authors should know.
//!
//! In: a [`Snapshot`] of digests. Out: a [`Model`] and a [`Report`]. Pure and total: no object is so broken
//! that it changes what another one does, and the order in which objects arrived means nothing. Knows no
//! Kubernetes types, no clock and no network.
//!
//! ```text
//! classes ─▶ whose Ingresses are ours ─┬─▶ routes (hosts, paths, default backends) ◀── backends, annotations
//! pools ──▶ VIPs and their members     └─▶ certificates (server names)
//! ```

mod annotation;
mod audience;
mod backends;
mod certificates;
mod classes;
mod index;
pub mod report;
mod routes;
pub mod snapshot;
mod vips;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Listener, Model, ObjectRef, Site};

use audience::Audience;
use backends::Backends;
use classes::Classes;
use index::Index;
use report::Findings;
pub(crate) use report::nearest;
pub use report::{Finding, Place, Report};
pub use snapshot::{Entry, Snapshot};

/// `spec.controller` of the IngressClasses that are ours.
pub const CONTROLLER: &str = "ingress-agent.dev/xdp";

/// The model of a snapshot, and what is to be said about its objects.
pub fn translate(snapshot: &Snapshot) -> (Model, Report) {
    let mut findings = Findings::default();
    let index = Index::new(snapshot);
    let classes = Classes::new(snapshot);
    findings.extend(
        snapshot
            .findings
            .iter()
            .filter(|finding| !classes.are_others(&finding.object)),
    );
    let vips = vips::assign(snapshot, &classes, &mut findings);
    let addresses = vips.bindings.iter().map(|binding| binding.vip.address).collect();
    let mut backends = Backends::new(&index, addresses);
    let mut sites: BTreeMap<&Audience, Arc<Site>> = BTreeMap::new();
    let mut listeners = Vec::new();
    for binding in &vips.bindings {
        let site = sites.entry(&binding.audience);
        let site = site
            .or_insert_with(|| site_of(&binding.audience, &classes, &index, &mut backends, &mut findings));
        listeners.push(Listener {
            vip: binding.vip,
            tls: binding.tls,
            site: Arc::clone(site),
        });
    }
    // What no VIP serves is judged all the same.
    for class in vips.unserved(&classes) {
        site_of(&class, &classes, &index, &mut backends, &mut findings);
    }
    audience::judge(&vips.bindings, &classes, &mut findings);
    certificates::judge(snapshot, &mut findings);
    backends::judge(snapshot, &classes, &index, &mut findings);
    let model = Model {
        pools: vips.pools,
        listeners,
        secret: snapshot.nodes.as_ref().and_then(|nodes| nodes.secret.clone()),
    };
    (model, findings.finish())
}

/// The objects of a snapshot that are ours to judge: our classes and their Ingresses, and VipPools.
pub fn judged(snapshot: &Snapshot) -> impl Iterator<Item = (&ObjectRef, Option<&Place>)> {
    let classes = Classes::new(snapshot);
    let ingresses: Vec<_> = classes
        .ingresses()
        .map(|(_, entry)| (&entry.value.object, entry.place.as_ref()))
        .collect();
    let ours: Vec<_> = classes
        .ours
        .into_values()
        .map(|entry| (&entry.value.object, entry.place.as_ref()))
        .collect();
    let pools = snapshot
        .pools
        .iter()
        .map(|entry| (&entry.value.object, entry.place.as_ref()));
    ours.into_iter().chain(ingresses).chain(pools)
}

fn site_of(
    audience: &Audience,
    classes: &Classes<'_>,
    index: &Index<'_>,
    backends: &mut Backends<'_>,
    findings: &mut Findings,
) -> Arc<Site> {
    let ingresses: Vec<_> = classes.ingresses_of(audience).collect();
    let (hosts, default) = routes::build(&ingresses, backends, findings);
    let certificates = certificates::choose(&ingresses, index, findings);
    Arc::new(Site {
        hosts,
        default,
        certificates,
    })
}

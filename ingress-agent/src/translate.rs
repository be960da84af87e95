//! What a snapshot means: the model, and what its objects' authors should know.
//!
//! In: a [`Snapshot`] of digests. Out: a [`Model`] and a [`Report`]. Pure and total: no object is so broken
//! that it changes what another one does, and the order in which objects arrived means nothing. Knows no
//! Kubernetes types, no clock and no network.
//!
//! ```text
//! classes ─▶ whose Ingresses are ours ─┬─▶ certificates (server names)
//! pools ──▶ VIPs and their members     └─▶ routes (hosts, paths, default backends) ◀── backends, policies
//! ```

mod addresses;
pub mod allocation;
mod audience;
mod backends;
mod certificates;
mod classes;
mod host;
mod index;
mod loops;
mod middle;
mod policies;
mod readings;
pub mod report;
mod routes;
pub mod snapshot;
mod vips;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Listener, Model, ObjectRef, Opening, Site};

pub use addresses::{Due, IngressKey, Rest, addresses};
use allocation::Own;
use audience::Audience;
use backends::Backends;
use classes::Classes;
pub use classes::{Controllers, left_to_ingress_nginx, named_secrets, our_classes};
use index::Index;
use loops::Loops;
use readings::Readings;
use report::Findings;
pub use report::{Finding, Place, Report};
pub use snapshot::{Allocation, Entry, Snapshot};
use vips::Vips;

/// `spec.controller` of the IngressClasses that are ours.
pub const CONTROLLER: &str = "ingress-agent.dev/xdp";

/// `spec.controller` of the IngressClasses that are ingress-nginx's.
pub const INGRESS_NGINX: &str = "k8s.io/ingress-nginx";

/// What the table that is served was made of.
#[derive(Debug)]
pub struct Served {
    /// The objects.
    pub snapshot: Arc<Snapshot>,
    /// What they mean.
    pub model: Arc<Model>,
    /// What is wrong with them.
    pub report: Arc<Report>,
}

/// The model of a snapshot, and what is to be said about its objects.
pub fn translate(snapshot: &Snapshot) -> (Model, Report) {
    Translator::default().translate(snapshot)
}

/// Translates snapshots one after the other, each to the very model and report that [`translate`] gives,
/// and reuses what stays: a host, a backend or a site of which nothing changed keeps its allocation.
///
/// What does not change is not looked at, but for its pointer: a round finds the objects that are others than
/// in the last snapshot, and from them the hosts to build. Of 10,000 Ingresses, 5,000 Services and 1,000
/// certificates a walk through everything took 23 to 53 ms, this takes 0.5 to 3 (`cargo xtask bench control`).
#[derive(Debug, Default)]
pub struct Translator {
    controllers: Controllers,
    index: Index,
    readings: Readings,
    backends: backends::Memo,
    sites: BTreeMap<Audience, routes::Memo>,
}

impl Translator {
    /// One that serves the classes of these controllers; the default one serves ours alone.
    pub fn new(controllers: Controllers) -> Self {
        Self {
            controllers,
            ..Self::default()
        }
    }

    /// The model of a snapshot, and what is to be said about its objects.
    pub fn translate(&mut self, snapshot: &Snapshot) -> (Model, Report) {
        self.translate_behind(snapshot, vips::assign, |vips| {
            Loops::of_vips(&vips.pools, snapshot)
        })
    }

    /// The same for an agent without XDP: every Ingress of our classes, in every namespace, is answered at each
    /// of `openings`, of a machine with the addresses `local`. VipPools mean nothing to such an agent and are not
    /// judged.
    pub fn translate_at(
        &mut self,
        snapshot: &Snapshot,
        openings: &[Opening],
        local: &BTreeSet<IpAddr>,
    ) -> (Model, Report) {
        self.translate_behind(
            snapshot,
            |_, classes, _, _| Vips::ordinary(openings, classes),
            |_| Loops::of_openings(openings, local, snapshot),
        )
    }

    fn translate_behind<'a>(
        &mut self,
        snapshot: &'a Snapshot,
        assign: impl FnOnce(&'a Snapshot, &Classes<'a>, &[Own<'_>], &mut Findings) -> Vips,
        loops: impl FnOnce(&Vips) -> Loops,
    ) -> (Model, Report) {
        let mut findings = Findings::default();
        let touched = self.index.update(snapshot);
        let classes = Classes::new(snapshot, self.controllers);
        findings.extend(classes.judged(&snapshot.findings));
        let changes = self.readings.update(&classes, &self.index, &touched.secrets);
        let own = self.readings.own();
        let vips = assign(snapshot, &classes, &own, &mut findings);
        let mut backends = Backends::new(&self.index, loops(&vips), &touched.services, &mut self.backends);
        let mut last = std::mem::take(&mut self.sites);
        let mut sites: BTreeMap<&Audience, Arc<Site>> = BTreeMap::new();
        let unserved = vips.unserved(&classes, &own);
        // What no VIP serves is judged all the same.
        for audience in vips
            .bindings
            .iter()
            .map(|binding| &binding.audience)
            .chain(&unserved)
        {
            if !sites.contains_key(audience) {
                let (mut memo, changes) = match last.remove(audience) {
                    Some(memo) => (memo, changes.of(audience)),
                    None => (routes::Memo::default(), self.readings.all_of(audience)),
                };
                let site = memo.update(&changes, &mut backends, &mut findings);
                self.sites.insert(audience.clone(), memo);
                sites.insert(audience, site);
            }
        }
        drop(last);
        backends.forget_unused();
        let listeners = vips.bindings.iter().filter_map(|binding| {
            let site = sites.get(&binding.audience)?;
            Some(Listener {
                vip: binding.vip,
                tls: binding.tls,
                site: Arc::clone(site),
            })
        });
        let listeners = listeners.collect();
        audience::judge(&vips.bindings, &self.readings, &mut findings);
        certificates::judge(snapshot, &mut findings);
        backends::judge(snapshot, &self.readings, &self.index, &mut findings);
        let model = Model {
            pools: vips.pools,
            listeners,
            secret: snapshot.nodes.as_ref().and_then(|nodes| nodes.secret.clone()),
        };
        (model, findings.finish())
    }
}

/// The objects of a snapshot that are ours to judge: the classes of these controllers and their Ingresses, and
/// VipPools.
pub fn judged(
    snapshot: &Snapshot,
    controllers: Controllers,
) -> impl Iterator<Item = (&ObjectRef, Option<&Place>)> {
    let classes = Classes::new(snapshot, controllers);
    let ingresses = snapshot
        .ingresses
        .iter()
        .filter(|entry| classes.class_of(&entry.value).is_some());
    let ingresses: Vec<_> = ingresses
        .map(|entry| (&entry.value.object, entry.place.as_ref()))
        .collect();
    let ours: Vec<_> = classes
        .ours
        .into_values()
        .filter_map(|ours| ours.entry)
        .map(|entry| (&entry.value.object, entry.place.as_ref()))
        .collect();
    let pools = snapshot
        .pools
        .iter()
        .map(|entry| (&entry.value.object, entry.place.as_ref()));
    ours.into_iter().chain(ingresses).chain(pools)
}

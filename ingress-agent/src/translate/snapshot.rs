//! All that is known of the cluster at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::report::{Finding, Place};
use crate::digest::{Class, Endpoints, Ingress, Nodes, Pool, Precedence, Secret, Service};

/// Everything a source knows, as digests. Two snapshots of the same objects hold the same pointers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// This node's name.
    pub node: Arc<str>,
    /// When it was taken, in seconds since 1970: certificates are judged by it.
    pub time: i64,
    /// Ingresses of all classes.
    pub ingresses: Vec<Entry<Ingress>>,
    /// IngressClasses of all controllers.
    pub classes: Vec<Entry<Class>>,
    /// The class of Ingresses that name none, where the source plays admission.
    pub default_class: Option<Arc<str>>,
    /// Services.
    pub services: Vec<Entry<Service>>,
    /// EndpointSlices.
    pub endpoints: Vec<Entry<Endpoints>>,
    /// Secrets that are, or should be, key pairs.
    pub secrets: Vec<Entry<Secret>>,
    /// VipPools.
    pub pools: Vec<Entry<Pool>>,
    /// The fleet; `None`: its description cannot be used and there was no better one before.
    pub nodes: Option<Arc<Nodes>>,
    /// Kinds of objects that the source met and that nobody uses, as `KIND (API VERSION)`.
    pub foreign: BTreeSet<String>,
    /// What the source could not read.
    pub findings: Vec<Finding>,
    /// Who gives out the pools' addresses.
    pub allocation: Allocation,
    /// A former agent saved it: what it lacks may well be there.
    pub restored: bool,
}

/// Who gives out the addresses of VipPools.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Allocation {
    /// The reader: what a pool's status does not record is the first free address.
    #[default]
    FirstFree,
    /// The leader: only what a pool's status records counts.
    Recorded,
}

/// A value, its rank among those that claim the same, and where its author finds it.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Who goes first.
    pub precedence: Precedence,
    /// The file, in a folder.
    pub place: Option<Place>,
    /// The value.
    pub value: Arc<T>,
}

impl<T> PartialEq for Entry<T> {
    /// Whether it is the same value, by pointer, in the same place.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.value, &other.value)
            && self.precedence == other.precedence
            && self.place == other.place
    }
}

impl Snapshot {
    /// What is known before anything was read: nothing, not even a fleet.
    pub fn empty(node: &Arc<str>) -> Self {
        Self {
            node: Arc::clone(node),
            time: 0,
            ingresses: Vec::new(),
            classes: Vec::new(),
            default_class: None,
            services: Vec::new(),
            endpoints: Vec::new(),
            secrets: Vec::new(),
            pools: Vec::new(),
            nodes: None,
            foreign: BTreeSet::new(),
            findings: Vec::new(),
            allocation: Allocation::FirstFree,
            restored: false,
        }
    }

    /// Whether nothing has changed since `other` was taken, but time.
    pub fn is_unchanged_since(&self, other: &Self) -> bool {
        let Self {
            node,
            time: _,
            ingresses,
            classes,
            default_class,
            services,
            endpoints,
            secrets,
            pools,
            nodes,
            foreign,
            findings,
            allocation,
            restored,
        } = self;
        *node == other.node
            && *ingresses == other.ingresses
            && *classes == other.classes
            && *default_class == other.default_class
            && *services == other.services
            && *endpoints == other.endpoints
            && *secrets == other.secrets
            && *pools == other.pools
            && nodes.as_ref().map(Arc::as_ptr) == other.nodes.as_ref().map(Arc::as_ptr)
            && *foreign == other.foreign
            && *findings == other.findings
            && *allocation == other.allocation
            && *restored == other.restored
    }
}

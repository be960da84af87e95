//! The kinds that are watched, each by a task of its own.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service as ApiService;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress as ApiIngress, IngressClass};
use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Scope;
use super::answers::Answers;
use super::kind::{Kind, Watches};
use super::members::Members;
use crate::digest::vippool::VipPool;
use crate::digest::{self, Class, Endpoints, Ingress, Pool, Service};
use crate::translate::{Allocation, Snapshot};

/// All kinds but Secrets.
#[derive(Debug)]
pub(super) struct Shelves {
    members: Members,
    ingresses: Kind<Ingress>,
    classes: Kind<Class>,
    services: Kind<Service>,
    endpoints: Kind<Endpoints>,
    /// `None`: no VIPs are served.
    pools: Option<Kind<Pool>>,
    /// Ended when this is dropped.
    _tasks: JoinSet<()>,
}

impl Shelves {
    /// Begins to watch; `changed` is told when a digest has changed.
    pub(super) fn watch(client: &Client, answers: &Answers, scope: &Scope, changed: &Arc<Notify>) -> Self {
        let mut tasks = JoinSet::new();
        let mut watches = Watches {
            client,
            answers,
            scope,
            changed,
            tasks: &mut tasks,
        };
        Self {
            members: Members::watch(client, answers, &scope.fleet, &scope.node, changed),
            ingresses: watches.namespaced::<ApiIngress, _>("Ingress", digest::ingress::digest),
            classes: watches.cluster::<IngressClass, _>("IngressClass", digest::class::digest),
            services: watches.namespaced::<ApiService, _>("Service", digest::service::digest),
            endpoints: watches.namespaced::<EndpointSlice, _>("EndpointSlice", digest::endpoints::digest),
            pools: scope
                .pools
                .then(|| watches.defined::<VipPool, _>("VipPool", digest::vippool::digest)),
            _tasks: tasks,
        }
    }

    /// Whether every kind was listed once.
    pub(super) fn are_listed(&self) -> bool {
        // Without VIPs nothing that is served depends on the others.
        (self.members.are_listed() || self.pools.is_none())
            && self.ingresses.is_listed()
            && self.classes.is_listed()
            && self.services.is_listed()
            && self.endpoints.is_listed()
            && self.pools.as_ref().is_none_or(Kind::is_listed)
    }

    /// Whether it is known which Secrets are named.
    pub(super) fn name_all_secrets(&self) -> bool {
        self.ingresses.is_listed() && self.classes.is_listed()
    }

    /// When something is another next though nothing is heard: objects that lists lack are let go of, Leases end.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let changes = [
            self.members.next_change(),
            self.ingresses.next_expiry(),
            self.classes.next_expiry(),
            self.services.next_expiry(),
            self.endpoints.next_expiry(),
            self.pools.as_ref().and_then(Kind::next_expiry),
        ];
        changes.into_iter().flatten().min()
    }

    /// All that is known now, but Secrets.
    pub(super) fn snapshot(&mut self, node: &Arc<str>, now: Instant) -> Snapshot {
        let mut snapshot = Snapshot {
            time: super::now(),
            allocation: Allocation::Recorded,
            ..Snapshot::empty(node)
        };
        let findings = &mut snapshot.findings;
        snapshot.nodes = self.members.nodes(now, findings);
        self.ingresses.enter(now, &mut snapshot.ingresses, findings);
        self.classes.enter(now, &mut snapshot.classes, findings);
        self.services.enter(now, &mut snapshot.services, findings);
        self.endpoints.enter(now, &mut snapshot.endpoints, findings);
        if let Some(pools) = &self.pools {
            pools.enter(now, &mut snapshot.pools, findings);
        }
        snapshot
    }
}

//! Manifests that are served: what `translate` makes of them, with a recording pod behind every endpoint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ingress_agent::model::{Action, Backend, Endpoint, Model, Route, Site, VirtualHost};
use ingress_agent::translate::Report;

use crate::bed::Bed;
use crate::folder;
use crate::raw::Reply;
use crate::recorder::Recorder;

/// A proxy that serves manifests.
pub(crate) struct World {
    pub(crate) bed: Bed,
    pub(crate) model: Model,
    pub(crate) report: Report,
    meaning: fn(&str) -> (Model, Report),
    pods: Pods,
}

/// Pods by the name that they answer with: `SERVICE`, behind `NAMESPACE/` outside of `default`, and with the
/// address that their slice gives them unless that is the usual one.
type Pods = BTreeMap<String, Recorder>;

/// What `folder::service` writes.
const USUAL: &str = "10.1.0.1:8080";

impl World {
    /// Serves `text` beside our class.
    pub(crate) fn start(text: &str) -> Self {
        Self::serving(folder::model, text)
    }

    /// Serves `text` beside ingress-nginx's class, which is taken over.
    pub(crate) fn taking_over(text: &str) -> Self {
        Self::serving(folder::taken_over, text)
    }

    fn serving(meaning: fn(&str) -> (Model, Report), text: &str) -> Self {
        let (model, report) = meaning(text);
        let mut pods = Pods::new();
        let bed = Bed::start(moved(folder::site(&model), &mut pods));
        Self {
            bed,
            model,
            report,
            meaning,
            pods,
        }
    }

    /// Serves other manifests, with the pods that are there already.
    pub(crate) fn edit(&mut self, text: &str) {
        (self.model, self.report) = (self.meaning)(text);
        let site = moved(folder::site(&self.model), &mut self.pods);
        self.bed.swap(site);
    }

    pub(crate) fn pod(&self, name: &str) -> &Recorder {
        &self.pods[name]
    }

    pub(crate) fn get(&self, host: &str, path: &str) -> Reply {
        self.bed.connect().get(host, path)
    }

    /// That no pod was called.
    pub(crate) fn pods_are_untouched(&self) -> bool {
        self.pods.values().all(|pod| pod.connections() == 0)
    }

    /// The pod that answers, or the status.
    pub(crate) fn answer(&self, host: &str, path: &str) -> String {
        let reply = self.get(host, path);
        match reply.status {
            200 => reply.text().to_owned(),
            status => status.to_string(),
        }
    }

    /// That these hosts and paths are answered by these pods or statuses.
    #[track_caller]
    pub(crate) fn assert_answers(&self, expected: &[(&str, &str, &str)]) {
        for (host, path, answer) in expected {
            assert_eq!(self.answer(host, path), *answer, "{host} {path}");
        }
    }
}

/// The site with its endpoints on loopback.
fn moved(site: &Site, pods: &mut Pods) -> Site {
    let mut site = site.clone();
    for host in site.hosts.values_mut() {
        let routes = host.routes.iter().map(|route| moved_route(route, pods));
        *host = Arc::new(VirtualHost {
            routes: routes.collect(),
        });
    }
    site.default = site.default.as_ref().map(|route| moved_route(route, pods));
    site
}

fn moved_route(route: &Arc<Route>, pods: &mut Pods) -> Arc<Route> {
    let Action::Forward(backend) = &route.action else {
        return Arc::clone(route);
    };
    let endpoints = backend.endpoints.iter().map(|endpoint| Endpoint {
        address: pod_address(backend, endpoint, pods),
        state: endpoint.state,
    });
    let backend = Backend {
        id: backend.id.clone(),
        endpoints: endpoints.collect(),
    };
    Arc::new(Route {
        action: Action::Forward(Arc::new(backend)),
        ..Route::clone(route)
    })
}

fn pod_address(backend: &Backend, endpoint: &Endpoint, pods: &mut Pods) -> SocketAddr {
    let mut name = backend.id.service.to_string();
    if &*backend.id.namespace != "default" {
        name = format!("{}/{name}", backend.id.namespace);
    }
    if endpoint.address.to_string() != USUAL {
        name = format!("{name} {}", endpoint.address);
    }
    let start = || Recorder::start(&name);
    pods.entry(name.clone()).or_insert_with(start).address()
}

//! The model, compiled for lookup: what every worker reads and nobody changes.
//!
//! Recomputed whole at every change. What costs is reused where the model's value is the same allocation: a
//! host's trie by its `Arc<VirtualHost>`, a site by its `Arc<Site>`, a parsed key by its `Arc<Certificate>`.
//! The memo holds those `Arc`s itself, so an address in it is never another value's.

mod describe;
mod memo;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use foldhash::quality::RandomState;
use http::HeaderValue;

use super::authority::HostName;
use super::error::ProxyError;
use super::router::{Found, Paths, Rule, Site, Upstream};
use super::tls::{Certificates, Security};
use super::upstream::{Budget, Endpoint, Endpoints, Newest, Target, Transport};
use crate::model::policy::UpstreamPolicy;
use crate::model::{Action, Backend, EndpointState, Model, Route, VirtualHost};

pub use describe::TableText;
pub use memo::Memo;

/// Which listener, host and path leads where.
#[derive(Debug, Default)]
pub struct Table {
    listeners: Places<Listener>,
}

/// Values by local address.
pub(super) type Places<T> = HashMap<SocketAddr, T, RandomState>;

/// What answers at one VIP.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) site: Arc<Site>,
    /// `Some`: TLS is terminated here, with these certificates.
    pub(super) certificates: Option<Arc<Certificates>>,
}

impl Listener {
    /// What answers a request that came over such a connection, if the connection is one for its host. `path` is
    /// canonical.
    pub(super) fn find(
        &self,
        security: &Security,
        host: Option<HostName<'_>>,
        path: &str,
    ) -> Result<Found<'_>, ProxyError> {
        let certificates = self.certificates.as_deref();
        if host.is_some_and(|host| !security.admits(host, certificates)) {
            return Err(ProxyError::Misdirected);
        }
        Ok(self.site.find(host, path))
    }
}

impl Table {
    /// The listener at an accepted socket's local address.
    pub(super) fn listener(&self, local: SocketAddr) -> Option<&Listener> {
        at(&self.listeners, local)
    }

    /// All endpoints, by address; those that routes share, once.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut sites = HashMap::new();
        for Listener { site, .. } in self.listeners.values() {
            sites.insert(Arc::as_ptr(site), site);
        }
        let mut endpoints = HashMap::new();
        for rule in sites.values().flat_map(|site| site.rules()) {
            let upstream = rule.upstream.iter();
            for endpoint in upstream.flat_map(|upstream| upstream.ready.iter().chain(&upstream.draining)) {
                endpoints.insert(Arc::as_ptr(endpoint), Arc::clone(endpoint));
            }
        }
        let mut endpoints: Vec<_> = endpoints.into_values().collect();
        endpoints.sort_by(|one, other| one.target.cmp(&other.target));
        endpoints
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = (SocketAddr, &Listener)> {
        self.listeners
            .iter()
            .map(|(&address, listener)| (address, listener))
    }
}

impl From<&Model> for Table {
    /// Compiles a model from nothing. [`Memo::table`] gives the same, sooner.
    fn from(model: &Model) -> Self {
        Memo::default().table(model)
    }
}

/// What stands at a local address, or at the unspecified address of its family and port, as the kernel looks
/// listeners up.
pub(super) fn at<T>(places: &Places<T>, local: SocketAddr) -> Option<&T> {
    let every = || {
        let unspecified = match local.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        places.get(&SocketAddr::new(unspecified, local.port()))
    };
    places.get(&local).or_else(every)
}

/// Makes, or finds again, what a route with these policies calls.
type Upstreams<'a> = dyn FnMut(&Arc<Backend>, &UpstreamPolicy) -> Arc<Upstream> + 'a;

fn compile_host(host: &VirtualHost, upstreams: &mut Upstreams<'_>) -> Paths {
    host.routes
        .iter()
        .map(|route| compile_route(route, upstreams))
        .collect()
}

fn compile_route(route: &Arc<Route>, upstreams: &mut Upstreams<'_>) -> Arc<Rule> {
    let policy = &route.policies.upstream;
    let host = policy.host.as_deref().map(HeaderValue::from_str).transpose();
    let (upstream, host) = match (&route.action, host) {
        (Action::Forward(backend), Ok(host)) => (Some(upstreams(backend, policy)), host),
        // A Host that no request may carry is not left out: the route is not what was asked for.
        (Action::Forward(_), Err(_)) | (Action::Refuse, _) => (None, None),
    };
    Arc::new(Rule {
        route: Arc::clone(route),
        upstream,
        host,
    })
}

fn compile_backend(
    backend: &Backend,
    transport: &Transport,
    endpoints: &mut Endpoints,
    newest: Arc<Newest>,
) -> Upstream {
    let target = |address| Target {
        address,
        transport: transport.clone(),
    };
    let targets = backend.endpoints.iter().map(|endpoint| target(endpoint.address));
    let interned = endpoints.intern(targets.collect(), Instant::now());
    let in_state = |state| {
        let endpoints = backend.endpoints.iter().zip(&interned);
        endpoints
            .filter(|(endpoint, _)| endpoint.state == state)
            .map(|(_, interned)| Arc::clone(interned))
            .collect()
    };
    Upstream {
        ready: in_state(EndpointState::Ready),
        draining: in_state(EndpointState::Draining),
        // The same in every table, so that a swap does not send every worker back to the first endpoint.
        cursor: BuildHasherDefault::<DefaultHasher>::default().hash_one(&backend.id),
        budget: Budget::default(),
        newest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_itself_then_every_address_of_its_family() {
        let places = ["127.0.0.1:80", "0.0.0.0:80", "[::]:80"];
        let places: Places<&str> = places
            .map(|place| (place.parse().unwrap(), place))
            .into_iter()
            .collect();
        for (local, expected) in [
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("192.0.2.1:80", Some("0.0.0.0:80")),
            ("[::1]:80", Some("[::]:80")),
            ("127.0.0.1:81", None),
        ] {
            assert_eq!(at(&places, local.parse().unwrap()).copied(), expected, "{local}");
        }
    }
}

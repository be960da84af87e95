//! What the last table compiled, for the next one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Listener, Places, Table, compile_backend, compile_host, compile_route};
use crate::model::policy::UpstreamPolicy;
use crate::model::{self, Backend, Certificate, Model, VirtualHost};
use crate::proxy::router::{Paths, Site, Upstream};
use crate::proxy::tls::{self, Certificates, Identity};
use crate::proxy::upstream::{Endpoints, Transport};

/// Compiles models one after the other and keeps what stays.
#[derive(Debug, Default)]
pub struct Memo {
    sites: Kept<model::Site, (Arc<Site>, Arc<Certificates>)>,
    hosts: Kept<VirtualHost, Arc<Paths>>,
    upstreams: Kept<Backend, Arc<Upstream>, Transport>,
    endpoints: Endpoints,
    keys: Kept<Certificate, Option<Arc<Identity>>>,
}

impl Memo {
    /// Compiles `model`. What the model no longer holds is forgotten.
    pub fn table(&mut self, model: &Model) -> Table {
        let mut listeners = Places::default();
        listeners.reserve(model.listeners.len());
        for listener in &model.listeners {
            let (site, certificates) = self.site(&listener.site);
            let address = SocketAddr::new(listener.vip.address, listener.vip.port.get());
            listeners.insert(
                address,
                Listener {
                    site,
                    certificates: listener.tls.then_some(certificates),
                },
            );
        }
        self.sites.end_round();
        self.hosts.end_round();
        self.upstreams.end_round();
        self.endpoints.forget_gone();
        self.keys.end_round();
        Table { listeners }
    }

    fn site(&mut self, site: &Arc<model::Site>) -> (Arc<Site>, Arc<Certificates>) {
        let Self {
            sites,
            hosts,
            upstreams,
            endpoints,
            keys,
        } = self;
        let mut upstream = |backend: &Arc<Backend>, policy: &UpstreamPolicy| {
            let transport = Transport::of(policy);
            let compile = |backend: &Backend| Arc::new(compile_backend(backend, &transport, endpoints));
            upstreams.get_for(backend, transport.clone(), compile)
        };
        // A site that stays still walks its parts, since what is not asked for in a round is forgotten.
        let compiled_hosts = site.hosts.iter().map(|(pattern, host)| {
            for route in &host.routes {
                if let model::Action::Forward(backend) = &route.action {
                    upstream(backend, &route.policies.upstream);
                }
            }
            let paths = hosts.get(host, |host| Arc::new(compile_host(host, &mut upstream)));
            (pattern.clone(), paths)
        });
        let compiled_hosts = compiled_hosts.collect();
        let default = site
            .default
            .as_ref()
            .map(|route| compile_route(route, &mut upstream));
        let certificates = site.certificates.iter().filter_map(|(pattern, certificate)| {
            let key = keys.get(certificate, tls::identity);
            key.map(|key| (pattern.clone(), key))
        });
        let certificates = certificates.collect();
        sites.get(site, |_| {
            let site = Site {
                hosts: compiled_hosts,
                default,
            };
            (Arc::new(site), Arc::new(certificates))
        })
    }
}

/// Results by the allocation they were made from, and by what else they depend on.
#[derive(Debug)]
struct Kept<K, V, Q = ()> {
    /// By address.
    entries: HashMap<(usize, Q), Entry<K, V>>,
    round: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    /// Keeps the address from being reused while it is a key here.
    _source: Arc<K>,
    value: V,
    round: u64,
}

impl<K, V, Q> Default for Kept<K, V, Q> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            round: 0,
        }
    }
}

impl<K, V: Clone> Kept<K, V> {
    fn get(&mut self, source: &Arc<K>, make: impl FnOnce(&K) -> V) -> V {
        self.get_for(source, (), make)
    }
}

impl<K, V: Clone, Q: Eq + Hash> Kept<K, V, Q> {
    fn get_for(&mut self, source: &Arc<K>, also: Q, make: impl FnOnce(&K) -> V) -> V {
        let entry = self
            .entries
            .entry((Arc::as_ptr(source).addr(), also))
            .or_insert_with(|| Entry {
                _source: Arc::clone(source),
                value: make(source),
                round: 0,
            });
        entry.round = self.round;
        entry.value.clone()
    }

    fn end_round(&mut self) {
        self.entries.retain(|_, entry| entry.round == self.round);
        self.round += 1;
    }
}

#[cfg(test)]
mod tests;

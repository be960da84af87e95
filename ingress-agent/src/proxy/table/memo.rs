//! What the last table compiled, for the next one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::{Listener, Places, Table, compile_backend, compile_host, compile_route};
use crate::model::policy::UpstreamPolicy;
use crate::model::{self, Backend, BackendId, Certificate, Model};
use crate::proxy::router::{Site, Upstream};
use crate::proxy::tls::{self, Certificates, Identity};
use crate::proxy::upstream::{Endpoints, Newest, Transport};

/// Compiles models one after the other and keeps what stays: a site whose `Arc` is the same, and in a site that
/// changed every bucket of hosts and of certificates that is shared with the last one at the same address.
#[derive(Debug, Default)]
pub struct Memo {
    sites: HashMap<SocketAddr, Compiled>,
    parts: Parts,
}

/// A site, and what it was compiled into.
#[derive(Clone, Debug)]
struct Compiled {
    from: Arc<model::Site>,
    site: Arc<Site>,
    certificates: Arc<Certificates>,
}

/// What hosts share.
#[derive(Debug, Default)]
struct Parts {
    upstreams: Known<Backend, Upstream, Transport>,
    newest: HashMap<(BackendId, Transport), Weak<Newest>>,
    endpoints: Endpoints,
    keys: Known<Certificate, Identity>,
    /// Hosts and certificates that came or went since the last time that what is gone was forgotten.
    changes: usize,
}

impl Memo {
    /// Compiles `model`. What the model no longer holds is let go.
    pub fn table(&mut self, model: &Model) -> Table {
        let mut sites: HashMap<SocketAddr, Compiled> = HashMap::with_capacity(model.listeners.len());
        let mut listeners = Places::default();
        listeners.reserve(model.listeners.len());
        for listener in &model.listeners {
            let address = SocketAddr::new(listener.vip.address, listener.vip.port.get());
            let same = |compiled: &&Compiled| Arc::ptr_eq(&compiled.from, &listener.site);
            let known = sites.values().chain(self.sites.values()).find(same);
            let compiled = match known {
                Some(known) => known.clone(),
                None => self.parts.site(&listener.site, self.sites.get(&address)),
            };
            let site = Arc::clone(&compiled.site);
            let certificates = listener.tls.then(|| Arc::clone(&compiled.certificates));
            listeners.insert(address, Listener { site, certificates });
            sites.insert(address, compiled);
        }
        let last = std::mem::replace(&mut self.sites, sites);
        let gone = last
            .iter()
            .filter(|(address, _)| !self.sites.contains_key(address));
        self.parts.changes += gone.map(|(_, gone)| gone.site.hosts.len()).sum::<usize>();
        drop(last);
        self.parts.forget_gone();
        Table { listeners }
    }
}

impl Parts {
    fn site(&mut self, site: &Arc<model::Site>, last: Option<&Compiled>) -> Compiled {
        let Self {
            upstreams,
            newest,
            endpoints,
            keys,
            changes,
        } = self;
        let mut upstream = |backend: &Arc<Backend>, policy: &UpstreamPolicy| {
            let transport = Transport::of(policy);
            let known = upstreams.get(backend, transport.clone());
            let upstream = known.unwrap_or_else(|| {
                let newest = newest.entry((backend.id.clone(), transport.clone())).or_default();
                let shared = newest.upgrade().unwrap_or_default();
                *newest = Arc::downgrade(&shared);
                let made = Arc::new(compile_backend(backend, &transport, endpoints, shared));
                upstreams.insert(backend, transport, &made);
                made
            });
            upstream.newest.set(&upstream);
            upstream
        };
        let hosts = last.map(|last| (&last.from.hosts, &last.site.hosts));
        let hosts = site.hosts.map(hosts, |host| {
            *changes += 1;
            Arc::new(compile_host(host, &mut upstream))
        });
        let default = site
            .default
            .as_ref()
            .map(|route| compile_route(route, &mut upstream));
        let certificates = last.map(|last| (&last.from.certificates, &*last.certificates));
        let certificates = site.certificates.map(certificates, |certificate| {
            *changes += 1;
            keys.get(certificate, ()).or_else(|| {
                let made = tls::identity(certificate)?;
                keys.insert(certificate, (), &made);
                Some(made)
            })
        });
        Compiled {
            from: Arc::clone(site),
            site: Arc::new(Site { hosts, default }),
            certificates: Arc::new(certificates),
        }
    }

    /// Now and then, since it looks at everything: what is gone holds little, and not for long.
    fn forget_gone(&mut self) {
        if self.changes * 8 < self.upstreams.0.len() + self.keys.0.len() || self.changes == 0 {
            return;
        }
        self.changes = 0;
        self.upstreams.forget_gone();
        self.newest.retain(|_, newest| newest.strong_count() > 0);
        self.endpoints.forget_gone();
        self.keys.forget_gone();
    }
}

/// Results by the allocation they were made from, and by what else they depend on, as long as a table has them.
#[derive(Debug)]
struct Known<K, V, Q = ()>(HashMap<(usize, Q), Entry<K, V>>);

#[derive(Debug)]
struct Entry<K, V> {
    /// Keeps the address from being reused while it is a key here.
    _source: Arc<K>,
    value: Weak<V>,
}

impl<K, V, Q> Default for Known<K, V, Q> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K, V, Q: Eq + Hash> Known<K, V, Q> {
    fn get(&self, source: &Arc<K>, also: Q) -> Option<Arc<V>> {
        self.0.get(&(Arc::as_ptr(source).addr(), also))?.value.upgrade()
    }

    fn insert(&mut self, source: &Arc<K>, also: Q, value: &Arc<V>) {
        let entry = Entry {
            _source: Arc::clone(source),
            value: Arc::downgrade(value),
        };
        self.0.insert((Arc::as_ptr(source).addr(), also), entry);
    }

    fn forget_gone(&mut self) {
        self.0.retain(|_, entry| entry.value.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests;

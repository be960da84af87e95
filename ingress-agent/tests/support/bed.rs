//! A proxy in this process, its model, and how a test reaches it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ingress_agent::model::{
    Action, Backend, BackendId, BackendPort, Certificate, Endpoint, EndpointState, Host, HostMap, Listener,
    Model, ObjectRef, PathMatch, Policies, Protocol, Route, RouteMatch, Site, Vip, VirtualHost,
};
use ingress_agent::proxy::{Listeners, Memo, Options, Proxy};

use super::raw::Raw;

/// A running proxy. Its plain VIP is 127.0.0.1, its TLS VIP ::1, both on one port.
pub(crate) struct Bed {
    pub(crate) proxy: Proxy,
    pub(crate) port: u16,
    memo: Memo,
    runtime: tokio::runtime::Runtime,
}

impl Bed {
    pub(crate) fn start(site: Site) -> Self {
        Self::with_options(site, Options::default())
    }

    pub(crate) fn with_options(site: Site, options: Options) -> Self {
        let listeners = Listeners::bind(2).unwrap();
        let port = listeners.port().unwrap();
        let proxy = Proxy::start(listeners, options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut bed = Self {
            proxy,
            port,
            memo: Memo::default(),
            runtime,
        };
        bed.swap(site);
        bed
    }

    /// Puts another site in place.
    pub(crate) fn swap(&mut self, site: Site) {
        let site = Arc::new(site);
        let listener = |address: IpAddr, tls| Listener {
            vip: Vip {
                address,
                port: NonZeroU16::new(self.port).unwrap(),
                protocol: Protocol::Tcp,
            },
            tls,
            site: Arc::clone(&site),
        };
        let model = Model {
            listeners: vec![
                listener(Ipv4Addr::LOCALHOST.into(), false),
                listener(Ipv6Addr::LOCALHOST.into(), true),
            ],
            ..Model::default()
        };
        self.proxy.swap(self.memo.table(&model)).unwrap();
    }

    pub(crate) fn plain(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn tls(&self) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn connect(&self) -> Raw<TcpStream> {
        Raw::connect(self.plain())
    }

    /// That a clean request on a new connection answers 200.
    pub(crate) fn assert_sound(&self, host: &str) {
        assert_eq!(self.connect().get(host, "/").status, 200);
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Ends the workers' threads; tests that asked for a drain themselves get an empty one here.
        self.runtime.block_on(self.proxy.drain(Duration::ZERO));
    }
}

/// A site of `(host, path, endpoints)`; the path is exact if it begins with `=`.
pub(crate) fn site(routes: &[(&str, &str, &[SocketAddr])]) -> Site {
    let mut hosts: BTreeMap<Host, Vec<Arc<Route>>> = BTreeMap::new();
    for (host, path, endpoints) in routes {
        let matches = match path.strip_prefix('=') {
            Some(path) => PathMatch::exact(path),
            None => PathMatch::prefix(path),
        };
        let route = route(matches, &format!("{host}{path}"), endpoints);
        hosts.entry(Host::parse(host).unwrap()).or_default().push(route);
    }
    let hosts = hosts.into_iter().map(|(host, mut routes)| {
        routes.sort_by_key(|route| route.matches.path.summary());
        (host, Arc::new(VirtualHost { routes }))
    });
    Site {
        hosts: hosts.collect(),
        ..Site::default()
    }
}

/// A site of one host, `a.test`, with one route and these policies.
pub(crate) fn with_policies(endpoints: &[SocketAddr], policies: Policies) -> Site {
    let mut route = Route::clone(&route(PathMatch::prefix("/"), "a.test/", endpoints));
    route.policies = Arc::new(policies);
    let host = VirtualHost {
        routes: vec![Arc::new(route)],
    };
    Site {
        hosts: HostMap::from_iter([(Host::parse("a.test").unwrap(), Arc::new(host))]),
        ..Site::default()
    }
}

/// A route to ready endpoints.
pub(crate) fn route(path: PathMatch, service: &str, endpoints: &[SocketAddr]) -> Arc<Route> {
    let ready = |&address| Endpoint {
        address,
        state: EndpointState::Ready,
    };
    let backend = Backend {
        id: BackendId {
            namespace: "test".into(),
            service: service.into(),
            port: BackendPort::Name("http".into()),
        },
        endpoints: endpoints.iter().map(ready).collect(),
    };
    Arc::new(Route {
        matches: RouteMatch { path },
        action: Action::Forward(Arc::new(backend)),
        policies: Arc::default(),
        origin: origin("Ingress"),
    })
}

/// The same site, every route with these policies.
pub(crate) fn under(mut site: Site, policies: &Policies) -> Site {
    let policies = Arc::new(policies.clone());
    for host in site.hosts.values_mut() {
        let routes = host.routes.iter().map(|route| {
            Arc::new(Route {
                policies: Arc::clone(&policies),
                ..Route::clone(route)
            })
        });
        *host = Arc::new(VirtualHost {
            routes: routes.collect(),
        });
    }
    site
}

/// An object of the tests' namespace.
pub(crate) fn origin(kind: &'static str) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: "test".into(),
        name: "object".into(),
    }
}

/// A self-signed certificate for `name`.
pub(crate) fn certificate(name: &str) -> Arc<Certificate> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Arc::new(Certificate {
        chain: vec![made.cert.der().to_vec()],
        key: ingress_agent::model::PrivateKey::Pkcs8(made.signing_key.serialize_der()),
        origin: origin("Secret"),
    })
}

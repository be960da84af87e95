//! The agent's L7 path alone, for `cargo xtask bench l7`: model, table and proxy with one worker.
//!
//! In: the address of a backend and the folder with `c.pem` and `k.pem`, the certificate for `h1.test` and
//! its key. Out: the port, on standard output. Everything for `h1.test` goes to the backend, in clear at
//! 127.0.0.1 and over TLS at ::1. Ends with its standard input.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints its result"
)]

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use ingress_agent::model::{
    Action, Backend, BackendId, BackendPort, Certificate, Endpoint, EndpointState, Host, HostMap, Listener,
    Model, ObjectRef, PathMatch, PrivateKey, Protocol, Route, RouteMatch, Site, Vip, VirtualHost,
};
use ingress_agent::proxy::{Listeners, Options, Proxy, Table};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

#[global_allocator]
static ALLOCATOR: ingress_agent::memory::Allocator = ingress_agent::memory::Allocator;

fn main() {
    ingress_agent::memory::give_back();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let backend = arguments.next().expect("the backend's address").parse().unwrap();
    let folder = PathBuf::from(arguments.next().expect("the certificate's folder"));
    let origin = |kind| ObjectRef {
        kind,
        namespace: "bench".into(),
        name: "h1".into(),
    };
    let chain = CertificateDer::from_pem_file(folder.join("c.pem")).unwrap();
    let key = PrivatePkcs8KeyDer::from_pem_file(folder.join("k.pem")).unwrap();
    let certificate = Arc::new(Certificate {
        chain: vec![chain.to_vec()],
        key: PrivateKey::Pkcs8(key.secret_pkcs8_der().to_vec()),
        origin: origin("Secret"),
    });
    let route = Arc::new(Route {
        matches: RouteMatch {
            path: PathMatch::prefix("/"),
        },
        action: Action::Forward(Arc::new(Backend {
            id: BackendId {
                namespace: "bench".into(),
                service: "h1".into(),
                port: BackendPort::Name("http".into()),
            },
            endpoints: vec![Endpoint {
                address: backend,
                state: EndpointState::Ready,
            }],
        })),
        policies: Arc::default(),
        origin: origin("Ingress"),
    });
    let host = Host::parse("h1.test").unwrap();
    let site = Arc::new(Site {
        hosts: HostMap::from_iter([(host.clone(), Arc::new(VirtualHost { routes: vec![route] }))]),
        default: None,
        certificates: HostMap::from_iter([(host, certificate)]),
    });
    let listeners = Listeners::bind(1).unwrap();
    let port = NonZeroU16::new(listeners.port().unwrap()).unwrap();
    let listener = |address: IpAddr, tls| Listener {
        vip: Vip {
            address,
            port,
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
    let proxy = Proxy::start(listeners, Options::default()).unwrap();
    proxy.swap(Table::from(&model)).unwrap();
    println!("{port}");
    // Until whoever started us goes away.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

//! What a translator reuses is what it would make anew, and what did not change keeps its allocation.

use std::sync::Arc;

use ingress_agent::digest::{Endpoints, Ingress, Secret, Service};
use ingress_agent::model::{Action, Host, Model};
use ingress_agent::translate::{Snapshot, Translator, translate};
use proptest::prelude::*;
use rcgen::KeyPair;
use serde_json::json;

use crate::memory::{base, entry, ingress_in, path, secret, service, slice};

/// A small world in which collisions are likely; what is not set does not exist.
#[derive(Default)]
struct World {
    ingresses: [Option<Arc<Ingress>>; 6],
    services: [Option<Arc<Service>>; 3],
    slices: [Option<Arc<Endpoints>>; 3],
    secrets: [Option<Arc<Secret>>; 2],
}

impl World {
    fn snapshot(&self) -> Snapshot {
        fn entries<T>(all: &[Option<Arc<T>>]) -> Vec<ingress_agent::translate::Entry<T>> {
            let all = all.iter().enumerate();
            all.filter_map(|(at, value)| Some(entry(at, value.as_ref()?)))
                .collect()
        }
        Snapshot {
            ingresses: entries(&self.ingresses),
            services: entries(&self.services),
            endpoints: entries(&self.slices),
            secrets: entries(&self.secrets),
            ..base()
        }
    }
}

/// An edit of one object; `None` removes it.
#[derive(Clone, Debug)]
enum Edit {
    Ingress(usize, Option<Web>),
    Service(usize, bool),
    Slice(usize, Option<u8>),
    Secret(usize, Option<usize>),
}

#[derive(Clone, Debug)]
struct Web {
    host: usize,
    path: usize,
    service: usize,
    annotation: usize,
    tls: Option<usize>,
    default: bool,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let web = (
        0..4_usize,
        0..3_usize,
        0..4_usize,
        0..ANNOTATIONS.len(),
        prop::option::of(0..4_usize),
        any::<bool>(),
    );
    let web = web.prop_map(|(host, path, service, annotation, tls, default)| Web {
        host,
        path,
        service,
        annotation,
        tls,
        default,
    });
    let edit = prop_oneof![
        4 => (0..6_usize, prop::option::weighted(0.8, web)).prop_map(|(at, web)| Edit::Ingress(at, web)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(at, there)| Edit::Service(at, there)),
        2 => (0..3_usize, prop::option::weighted(0.8, 0..3_u8)).prop_map(|(at, slice)| Edit::Slice(at, slice)),
        1 => (0..2_usize, prop::option::of(0..3_usize)).prop_map(|(at, of)| Edit::Secret(at, of)),
    ];
    prop::collection::vec(edit, 1..20)
}

fn digest(name: &str, web: &Web) -> Arc<Ingress> {
    let host = ["a.test", "b.a.test", "*.a.test", ""][web.host];
    let (key, value) = ANNOTATIONS[web.annotation];
    let annotation = json!({ key: value });
    let service = format!("s{}", web.service);
    let paths = [path(["/", "/x", "/x/y"][web.path], &service)];
    let mut spec = json!({"rules": [{"host": host, "http": {"paths": paths}}]});
    if let Some(tls) = web.tls {
        spec["tls"] = [
            json!([{"hosts": ["a.test"], "secretName": "t0"}]),
            json!([{"hosts": ["*.a.test", "b.a.test"], "secretName": "t1"}]),
            json!([{"secretName": "t0"}, {"secretName": "t1"}]),
            json!([{"hosts": ["a.test"]}]),
        ][tls]
            .clone();
    }
    if web.default {
        spec["defaultBackend"] = json!({"service": {"name": service, "port": {"number": 80}}});
    }
    // The last two are another tenant's, whose Services and Secrets are not there.
    let namespace = if matches!(name, "i4" | "i5") {
        "other"
    } else {
        "default"
    };
    ingress_in(namespace, name, &annotation, spec)
}

/// One of each sort.
const ANNOTATIONS: [(&str, &str); 9] = [
    ("x/y", "z"),
    ("ingress-agent.dev/proxy-body-size", "2m"),
    ("ingress-agent.dev/use-regex", "true"),
    ("ingress-agent.dev/auth-type", "basic"),
    ("ingress-agent.dev/canary", "true"),
    ("ingress-agent.dev/force-ssl-redirect", "true"),
    ("ingress-agent.dev/upstream-vhost", "$service_name.test"),
    ("ingress-agent.dev/proxy-body-sise", "2m"),
    ("kubernetes.io/ingress.class", "theirs"),
];

impl Edit {
    fn apply(&self, world: &mut World, certified: &[[Arc<Secret>; 3]; 2]) {
        match self {
            Self::Ingress(at, web) => {
                world.ingresses[*at] = web.as_ref().map(|web| digest(&format!("i{at}"), web));
            }
            Self::Service(at, there) => {
                world.services[*at] = there.then(|| service(&format!("s{at}")));
            }
            Self::Slice(at, last) => {
                let address = |last: &u8| vec![format!("10.0.0.{}", last + 1)];
                world.slices[*at] = last.as_ref().map(|last| slice(&format!("s{at}"), &address(last)));
            }
            Self::Secret(at, of) => world.secrets[*at] = of.map(|of| Arc::clone(&certified[*at][of])),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memoised_is_fresh(edits in edits()) {
        let key = KeyPair::generate().unwrap();
        let certified = ["t0", "t1"].map(|name| ["a.test", "*.a.test", "other.test"].map(|host| secret(name, host, &key)));
        let mut world = World::default();
        let mut translator = Translator::default();
        for edit in edits {
            edit.apply(&mut world, &certified);
            let snapshot = world.snapshot();
            let (memoised, told) = translator.translate(&snapshot);
            let (fresh, expected) = translate(&snapshot);
            prop_assert_eq!(format!("{memoised:?}"), format!("{fresh:?}"));
            prop_assert_eq!(told, expected);
        }
    }
}

fn web(service: usize, host: usize) -> Web {
    Web {
        host,
        path: 0,
        service,
        annotation: 0,
        tls: None,
        default: false,
    }
}

fn host(model: &Model, name: &str) -> Arc<ingress_agent::model::VirtualHost> {
    Arc::clone(&model.listeners[0].site.hosts[&Host::parse(name).unwrap()])
}

fn backend(model: &Model, name: &str) -> Arc<ingress_agent::model::Backend> {
    match &host(model, name).routes[0].action {
        Action::Forward(backend) => Arc::clone(backend),
        Action::Refuse => panic!("refused"),
    }
}

#[test]
fn what_did_not_change_keeps_its_allocation() {
    let mut world = World::default();
    for at in 0..2 {
        world.ingresses[at] = Some(digest(&format!("i{at}"), &web(at, at)));
        world.services[at] = Some(service(&format!("s{at}")));
        world.slices[at] = Some(slice(&format!("s{at}"), &["10.0.0.1".to_owned()]));
    }
    let mut translator = Translator::default();
    let first = translator.translate(&world.snapshot()).0;
    let again = translator.translate(&world.snapshot()).0;
    assert!(Arc::ptr_eq(&first.listeners[0].site, &again.listeners[0].site));

    world.slices[0] = Some(slice("s0", &["10.0.0.2".to_owned()]));
    let moved = translator.translate(&world.snapshot()).0;
    assert!(!Arc::ptr_eq(
        &backend(&first, "a.test"),
        &backend(&moved, "a.test")
    ));
    assert_eq!(
        backend(&moved, "a.test").endpoints[0].address.to_string(),
        "10.0.0.2:8080"
    );
    assert!(Arc::ptr_eq(&host(&first, "b.a.test"), &host(&moved, "b.a.test")));

    world.ingresses[1] = Some(digest("i1", &Web { path: 1, ..web(1, 1) }));
    let edited = translator.translate(&world.snapshot()).0;
    assert!(Arc::ptr_eq(&host(&moved, "a.test"), &host(&edited, "a.test")));
    assert!(!Arc::ptr_eq(
        &host(&moved, "b.a.test"),
        &host(&edited, "b.a.test")
    ));
    assert!(Arc::ptr_eq(
        &backend(&moved, "b.a.test"),
        &backend(&edited, "b.a.test")
    ));
    assert!(!Arc::ptr_eq(&moved.listeners[0].site, &edited.listeners[0].site));

    // An equal slice at a new allocation is the same backend.
    world.slices[0] = Some(slice("s0", &["10.0.0.2".to_owned()]));
    let equal = translator.translate(&world.snapshot()).0;
    assert!(Arc::ptr_eq(&edited.listeners[0].site, &equal.listeners[0].site));
}

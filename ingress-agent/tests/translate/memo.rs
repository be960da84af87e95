//! What a translator reuses is what it would make anew, and what did not change keeps its allocation.

use std::sync::Arc;

use ingress_agent::digest::{Class, Endpoints, Ingress, Pool, Precedence, Secret, Service};
use ingress_agent::model::{Action, Host, Model};
use ingress_agent::translate::{CONTROLLER, Controllers, Entry, INGRESS_NGINX, Place, Snapshot, Translator};
use proptest::prelude::*;
use rcgen::KeyPair;
use serde_json::json;

use crate::memory::{base, class_of, entry, ingress_in, path, pool, secret, service, slice};

/// A small world in which collisions are likely; what is not set does not exist.
#[derive(Default)]
pub(crate) struct World {
    ingresses: [Option<Arc<Ingress>>; 6],
    services: [Option<Arc<Service>>; 3],
    slices: [Option<Arc<Endpoints>>; 3],
    secret: Option<Arc<Secret>>,
    /// Beside `ours`, which is the default class. Ours or ingress-nginx's.
    class: Option<Arc<Class>>,
    no_default: bool,
    pool: Option<Arc<Pool>>,
    /// How the Ingresses stand in their file, and in the snapshot.
    order: Order,
}

/// The first Ingress's position, and how far the list is turned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    first: usize,
    turned: usize,
}

impl World {
    pub(crate) fn snapshot(&self) -> Snapshot {
        fn entries<T>(all: &[Option<Arc<T>>]) -> Vec<Entry<T>> {
            let all = all.iter().enumerate();
            all.filter_map(|(at, value)| Some(entry(at, value.as_ref()?)))
                .collect()
        }
        let mut snapshot = Snapshot {
            ingresses: entries(&self.ingresses),
            services: entries(&self.services),
            endpoints: entries(&self.slices),
            secrets: entries(std::slice::from_ref(&self.secret)),
            ..base()
        };
        for at in &mut snapshot.ingresses {
            let Precedence::Uncreated { position, file } = &mut at.precedence else {
                unreachable!()
            };
            // A position that moves changes ranks: a turn of six.
            *position = (*position + self.order.first) % 6;
            let document = *position;
            at.place = Some(Place {
                file: Arc::clone(file),
                document,
            });
        }
        let turned = self.order.turned.min(snapshot.ingresses.len());
        snapshot.ingresses.rotate_left(turned);
        snapshot
            .classes
            .extend(self.class.iter().map(|class| entry(1, class)));
        if let Some(pool) = &self.pool {
            snapshot.pools = vec![entry(0, pool)];
        }
        if self.no_default {
            snapshot.default_class = None;
        }
        snapshot
    }
}

/// An edit of one object, or two at once; `None` removes it.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Ingress(usize, Option<Web>),
    Service(usize, bool),
    Slice(usize, Option<u8>),
    /// Its place among [`secrets`].
    Secret(usize),
    /// Its place among [`CONTROLLERS`].
    Class(usize),
    Default(bool),
    /// Its place among [`pools`].
    Pool(usize),
    Order(Order),
    Both(Box<[Self; 2]>),
}

#[derive(Clone, Debug)]
pub(crate) struct Web {
    host: usize,
    path: usize,
    specific: bool,
    service: usize,
    annotation: usize,
    tls: usize,
    class: usize,
    default: bool,
}

fn edit() -> impl Strategy<Value = Edit> {
    let web = (
        0..4_usize,
        (0..3_usize, any::<bool>()),
        0..4_usize,
        0..ANNOTATIONS.len(),
        0..5_usize,
        0..3_usize,
        any::<bool>(),
    );
    let web = web.prop_map(
        |(host, (path, specific), service, annotation, tls, class, default)| Web {
            host,
            path,
            specific,
            service,
            annotation,
            tls,
            class,
            default,
        },
    );
    let order = (0..6_usize, 0..6_usize).prop_map(|(first, turned)| Order { first, turned });
    prop_oneof![
        6 => (0..6_usize, prop::option::weighted(0.8, web)).prop_map(|(at, web)| Edit::Ingress(at, web)),
        1 => (0..3_usize, any::<bool>()).prop_map(|(at, there)| Edit::Service(at, there)),
        2 => (0..3_usize, prop::option::weighted(0.8, 0..4_u8)).prop_map(|(at, slice)| Edit::Slice(at, slice)),
        2 => (0..5_usize).prop_map(Edit::Secret),
        1 => (0..CONTROLLERS.len()).prop_map(Edit::Class),
        1 => any::<bool>().prop_map(Edit::Default),
        1 => (0..4_usize).prop_map(Edit::Pool),
        1 => order.prop_map(Edit::Order),
    ]
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = prop_oneof![
        4 => edit(),
        1 => (edit(), edit()).prop_map(|(one, other)| Edit::Both(Box::new([one, other]))),
    ];
    prop::collection::vec(one, 1..24)
}

fn digest(name: &str, web: &Web) -> Arc<Ingress> {
    let host = ["a.test", "b.a.test", "*.a.test", ""][web.host];
    let (key, value) = ANNOTATIONS[web.annotation];
    let annotation = json!({ key: value });
    let service = format!("s{}", web.service);
    let mut paths = [path(["/", "/x", "/x/y"][web.path], &service)];
    if web.specific {
        paths[0]["pathType"] = json!("ImplementationSpecific");
    }
    let mut spec = json!({"rules": [{"host": host, "http": {"paths": paths}}]});
    spec["tls"] = [
        json!([]),
        json!([{"hosts": ["a.test"], "secretName": "t"}]),
        json!([{"hosts": ["*.a.test", "a.test"], "secretName": "t"}]),
        json!([{"secretName": "t"}, {"hosts": ["*.a.test"]}]),
        json!([{"hosts": ["b.a.test"], "secretName": "missing"}]),
    ][web.tls]
        .clone();
    if let Some(class) = [None, Some("second"), Some("third")][web.class] {
        spec["ingressClassName"] = json!(class);
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
const ANNOTATIONS: [(&str, &str); 11] = [
    ("x/y", "z"),
    ("ingress-agent.dev/vip", "own"),
    ("ingress-agent.dev/proxy-body-size", "2m"),
    ("ingress-agent.dev/use-regex", "true"),
    ("ingress-agent.dev/auth-type", "basic"),
    ("ingress-agent.dev/canary", "true"),
    ("ingress-agent.dev/force-ssl-redirect", "true"),
    ("ingress-agent.dev/upstream-vhost", "$service_name.test"),
    ("ingress-agent.dev/proxy-body-sise", "2m"),
    ("kubernetes.io/ingress.class", "theirs"),
    // No IngressClass has this name.
    ("kubernetes.io/ingress.class", "nginx"),
];

/// Whose a class may be; the first: there is none.
const CONTROLLERS: [Option<&str>; 3] = [None, Some(CONTROLLER), Some(INGRESS_NGINX)];

/// What a Secret may be: absent, for one host, for another, for a wildcard, unusable.
pub(crate) fn secrets() -> [Option<Arc<Secret>>; 5] {
    let key = KeyPair::generate().unwrap();
    let certified = |host| Some(secret("t", host, &key));
    let bad = certified("a.test").map(|secret| {
        let mut secret = Secret::clone(&secret);
        secret.pair = None;
        Arc::new(secret)
    });
    [
        None,
        certified("a.test"),
        certified("b.a.test"),
        certified("*.a.test"),
        bad,
    ]
}

/// Who is served where: everybody, two classes apart, nobody of this namespace, one class.
pub(crate) fn pools() -> [Arc<Pool>; 4] {
    let elsewhere = json!({"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}});
    [
        json!({}),
        json!({"ports": [{"port": 80, "protocol": "HTTP"}, {"port": 443, "protocol": "HTTPS"}]}),
        json!({"namespaceSelector": elsewhere}),
        json!({"classes": ["second"]}),
    ]
    .map(pool)
}

impl Edit {
    pub(crate) fn apply(
        &self,
        world: &mut World,
        secrets: &[Option<Arc<Secret>>; 5],
        pools: &[Arc<Pool>; 4],
    ) {
        match self {
            Self::Ingress(at, web) => {
                world.ingresses[*at] = web.as_ref().map(|web| digest(&format!("i{at}"), web));
            }
            Self::Service(at, there) => {
                world.services[*at] = there.then(|| service(&format!("s{at}")));
            }
            Self::Slice(at, last) => {
                // The last of these may be a VIP, which no backend may have.
                let addresses = ["10.0.0.1", "10.0.0.2", "not an address", "192.0.2.11"];
                let slice = |last: &u8| slice(&format!("s{at}"), &[addresses[usize::from(*last)].to_owned()]);
                world.slices[*at] = last.as_ref().map(slice);
            }
            Self::Secret(which) => world.secret.clone_from(&secrets[*which]),
            Self::Class(which) => {
                world.class = CONTROLLERS[*which].map(|controller| class_of("second", controller))
            }
            Self::Default(there) => world.no_default = !there,
            Self::Pool(which) => world.pool = Some(Arc::clone(&pools[*which])),
            Self::Order(order) => world.order = *order,
            Self::Both(both) => both.iter().for_each(|edit| edit.apply(world, secrets, pools)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memoised_is_fresh(edits in edits(), taking_over in any::<bool>()) {
        let (secrets, pools) = (secrets(), pools());
        let mut world = World::default();
        let controllers = if taking_over { Controllers::WithIngressNginx } else { Controllers::Own };
        let mut translator = Translator::new(controllers);
        for edit in edits {
            edit.apply(&mut world, &secrets, &pools);
            let snapshot = world.snapshot();
            let (memoised, told) = translator.translate(&snapshot);
            let (fresh, expected) = Translator::new(controllers).translate(&snapshot);
            prop_assert_eq!(format!("{memoised:?}"), format!("{fresh:?}"));
            prop_assert_eq!(told, expected);
        }
    }
}

fn web(service: usize, host: usize) -> Web {
    Web {
        host,
        path: 0,
        specific: false,
        service,
        annotation: 0,
        tls: 0,
        class: 0,
        default: false,
    }
}

fn host(model: &Model, name: &str) -> Arc<ingress_agent::model::VirtualHost> {
    let host = Host::parse(name).unwrap();
    Arc::clone(model.listeners[0].site.hosts.get(&host).unwrap())
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

    // A certificate that is rotated leaves the routes alone.
    let key = KeyPair::generate().unwrap();
    world.ingresses[0] = Some(digest("i0", &Web { tls: 1, ..web(0, 0) }));
    world.secret = Some(secret("t", "a.test", &key));
    let shown = translator.translate(&world.snapshot()).0;
    world.secret = Some(secret("t", "a.test", &key));
    let rotated = translator.translate(&world.snapshot()).0;
    let name = Host::parse("a.test").unwrap();
    let certificate = |model: &Model| Arc::clone(model.listeners[0].site.certificates.get(&name).unwrap());
    assert!(!Arc::ptr_eq(&certificate(&shown), &certificate(&rotated)));
    assert!(Arc::ptr_eq(&host(&shown, "a.test"), &host(&rotated, "a.test")));
    let edited = rotated;

    // An equal slice at a new allocation is the same backend.
    world.slices[0] = Some(slice("s0", &["10.0.0.2".to_owned()]));
    let equal = translator.translate(&world.snapshot()).0;
    assert!(Arc::ptr_eq(&edited.listeners[0].site, &equal.listeners[0].site));
}

use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Action, BackendId, BackendPort, Endpoint, EndpointState, Host, HostMap, ObjectRef, PathMatch, Protocol,
    Route, RouteMatch, Vip, VirtualHost,
};
use crate::proxy::authority::{HostName, SCRATCH};
use crate::proxy::router::Paths;

const HOSTS: [&str; 4] = ["a.test", "b.test", "*.w.test", ""];
const PATHS: [&str; 3] = ["/", "/a", "/a/b"];

fn backend(port: u16) -> Arc<Backend> {
    let endpoint = |port, state| Endpoint {
        address: ([192, 0, 2, 1], port).into(),
        state,
    };
    Arc::new(Backend {
        id: BackendId {
            namespace: "n".into(),
            service: "s".into(),
            port: BackendPort::Number(NonZeroU16::MIN),
        },
        endpoints: vec![
            endpoint(port, EndpointState::Ready),
            endpoint(port + 1, EndpointState::Draining),
        ],
    })
}

fn route(path: &str, backend: &Arc<Backend>) -> Arc<Route> {
    Arc::new(Route {
        matches: RouteMatch {
            path: PathMatch::prefix(path),
        },
        action: Action::Forward(Arc::clone(backend)),
        policies: Arc::default(),
        origin: ObjectRef {
            kind: "Ingress",
            namespace: "n".into(),
            name: "i".into(),
        },
    })
}

fn host(paths: &[usize], backend: &Arc<Backend>) -> Arc<VirtualHost> {
    let mut routes: Vec<_> = paths.iter().map(|&path| route(PATHS[path], backend)).collect();
    routes.sort_by_key(|route| route.matches.path.summary());
    Arc::new(VirtualHost { routes })
}

fn model(hosts: HostMap<Arc<VirtualHost>>) -> Model {
    let vip = Vip {
        address: [192, 0, 2, 9].into(),
        port: NonZeroU16::new(80).unwrap(),
        protocol: Protocol::Tcp,
    };
    Model {
        listeners: vec![model::Listener {
            vip,
            tls: false,
            site: Arc::new(model::Site {
                hosts,
                ..model::Site::default()
            }),
        }],
        ..Model::default()
    }
}

/// The endpoint every host and path leads to.
fn answers(table: &Table) -> Vec<Option<SocketAddr>> {
    let listener = table.listener(([192, 0, 2, 9], 80).into()).unwrap();
    let answer = |host: &str, path: &str| {
        let mut scratch = SCRATCH;
        let name = HostName::new(host, &mut scratch).unwrap();
        let rule = listener.site.find(Some(name), path).rule()?;
        Some(rule.upstream.as_ref()?.ready.first()?.target.address)
    };
    let hosts = ["a.test", "b.test", "x.w.test", "other.test"];
    hosts
        .iter()
        .flat_map(|host| ["/", "/a", "/a/b", "/c"].map(|path| answer(host, path)))
        .collect()
}

proptest! {
    /// A table made after any history of changes is the table made from nothing.
    #[test]
    fn memoised_is_fresh(
        changes in vec((0..HOSTS.len(), proptest::option::of((vec(0..PATHS.len(), 0..4), 1u16..9))), 1..12),
    ) {
        let mut memo = Memo::default();
        let mut hosts = HostMap::default();
        for (index, change) in changes {
            let change = change.map(|(paths, port)| host(&paths, &backend(port * 10)));
            hosts = hosts.with([(Host::parse(HOSTS[index]).unwrap(), change)]);
            let model = model(hosts.clone());
            prop_assert_eq!(answers(&memo.table(&model)), answers(&Table::from(&model)));
        }
    }
}

fn paths(table: &Table, name: &str) -> Arc<Paths> {
    let listener = table.listener(([192, 0, 2, 9], 80).into()).unwrap();
    Arc::clone(listener.site.hosts.exact(name).unwrap().1)
}

fn upstream(paths: &Paths) -> &Arc<Upstream> {
    paths.get("/").unwrap().upstream.as_ref().unwrap()
}

#[test]
fn what_stays_is_not_made_again_and_what_goes_is_forgotten() {
    let (shared, other) = (backend(10), backend(20));
    let many = (0..64).map(|index| Host::parse(&format!("h{index}.test")).unwrap());
    let hosts: HostMap<_> = many.map(|name| (name, host(&[0, 1], &shared))).collect();
    let mut memo = Memo::default();
    let first = memo.table(&model(hosts.clone()));
    let one = Host::parse("h0.test").unwrap();
    let hosts = hosts.with([(one, Some(host(&[0], &other)))]);
    let second = memo.table(&model(hosts));
    let same = |name: &str| Arc::ptr_eq(&paths(&first, name), &paths(&second, name));
    assert!(!same("h0.test"));
    let stayed = (0..64).filter(|index| same(&format!("h{index}.test"))).count();
    assert!(stayed > 48, "{stayed} of 64 stayed");
    // Another trie, but the same connections and what is known of them.
    let shared_by = |index: usize| Arc::clone(upstream(&paths(&second, &format!("h{index}.test"))));
    assert!((2..64).all(|index| Arc::ptr_eq(&shared_by(1), &shared_by(index))));
    assert!(Arc::ptr_eq(upstream(&paths(&first, "h1.test")), &shared_by(1)));
    assert_eq!(memo.parts.upstreams.0.len(), 2);
    drop((first, second));
    memo.table(&Model::default());
    assert_eq!((memo.sites.len(), memo.parts.upstreams.0.len()), (0, 0));
}

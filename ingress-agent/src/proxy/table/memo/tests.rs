use std::collections::BTreeMap;
use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Action, BackendId, BackendPort, Endpoint, EndpointState, Host, ObjectRef, PathMatch, Policies, Protocol,
    Route, RouteMatch, Vip,
};
use crate::proxy::authority::{HostName, SCRATCH};

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
        policies: Policies::default(),
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

fn model(hosts: &BTreeMap<usize, Arc<VirtualHost>>) -> Model {
    let hosts = hosts.iter();
    let hosts = hosts.map(|(&index, host)| (Host::parse(HOSTS[index]).unwrap(), Arc::clone(host)));
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
                hosts: hosts.collect(),
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
        let mut hosts = BTreeMap::new();
        for (index, change) in changes {
            match change {
                Some((paths, port)) => _ = hosts.insert(index, host(&paths, &backend(port * 10))),
                None => _ = hosts.remove(&index),
            }
            let model = model(&hosts);
            prop_assert_eq!(answers(&memo.table(&model)), answers(&Table::from(&model)));
        }
    }
}

#[test]
fn what_stays_is_not_made_again_and_what_goes_is_forgotten() {
    let shared = backend(10);
    let (a, b) = (host(&[0, 1], &shared), host(&[0], &shared));
    let mut memo = Memo::default();
    memo.table(&model(&BTreeMap::from([(0, Arc::clone(&a)), (1, b)])));
    let trie = Arc::clone(&memo.hosts.entries[&(Arc::as_ptr(&a).addr(), ())].value);
    memo.table(&model(&BTreeMap::from([
        (0, Arc::clone(&a)),
        (1, host(&[2], &shared)),
    ])));
    assert!(Arc::ptr_eq(
        &trie,
        &memo.hosts.entries[&(Arc::as_ptr(&a).addr(), ())].value
    ));
    assert_eq!(
        (
            memo.hosts.entries.len(),
            memo.upstreams.entries.len(),
            memo.sites.entries.len()
        ),
        (2, 1, 1)
    );
    memo.table(&Model::default());
    assert_eq!(
        (
            memo.hosts.entries.len(),
            memo.upstreams.entries.len(),
            memo.sites.entries.len()
        ),
        (0, 0, 0)
    );
}

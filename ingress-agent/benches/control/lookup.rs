//! A route's lookup, among few hosts and among many.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use ingress_agent::model::{
    Action, Backend, BackendId, BackendPort, Host, Listener, Model, ObjectRef, PathMatch, Protocol, Route,
    RouteMatch, Site, Vip, VirtualHost,
};
use ingress_agent::proxy::{Table, trace};
use serde_json::Value;

use crate::edit::request;

/// What is asked for of each.
const PATH: &str = "/some/path";
/// How many hosts are asked for, in turn.
const ASKED: usize = 1_000;
/// Lookups of one round.
const LOOKUPS: u32 = 1_000_000;

/// The medians over the rounds of a lookup's nanoseconds: of the lookup alone, host and path being in the one
/// form that is looked up, and of all that a request's head goes through to its route.
pub(crate) fn rows(hosts: usize, rounds: usize) -> Vec<Value> {
    let vip = Vip {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: NonZeroU16::MIN,
        protocol: Protocol::Tcp,
    };
    let local = SocketAddr::new(vip.address, vip.port.get());
    let table = Table::from(&Model {
        listeners: vec![Listener {
            vip,
            tls: false,
            site: Arc::new(site(hosts)),
        }],
        ..Model::default()
    });
    // Scattered over the hosts, so that not one entry stays in the cache.
    let names: Vec<_> = (0..ASKED).map(|index| name(index * 7919 % hosts)).collect();
    let heads: Vec<_> = names.iter().map(|name| request(name, PATH)).collect();
    let alone = median(rounds, &names, |name| {
        trace::look_up(&table, local, name, PATH).is_some()
    });
    let whole = median(rounds, &heads, |head| trace::find(&table, local, head).is_some());
    let row = |case: &str, value| {
        crate::row(
            &format!("{case} among {hosts} hosts"),
            "median",
            value,
            "ns",
            rounds,
        )
    };
    vec![
        row("route lookup", alone),
        row("route lookup, with reading host and path from the head,", whole),
    ]
}

fn median<T>(rounds: usize, asked: &[T], find: impl Fn(&T) -> bool) -> f64 {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        let found = asked.iter().cycle().take(LOOKUPS as usize);
        let found = found.filter(|asked| std::hint::black_box(find(asked)));
        assert_eq!(found.count(), LOOKUPS as usize);
        times.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(LOOKUPS));
    }
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}

fn name(index: usize) -> String {
    format!("host-{index}.example.com")
}

fn site(hosts: usize) -> Site {
    let backend = Arc::new(Backend {
        id: BackendId {
            namespace: "default".into(),
            service: "app".into(),
            port: BackendPort::Number(NonZeroU16::MIN),
        },
        endpoints: Vec::new(),
    });
    let route = |path| {
        Arc::new(Route {
            matches: RouteMatch { path },
            action: Action::Forward(Arc::clone(&backend)),
            policies: Arc::default(),
            origin: ObjectRef {
                kind: "Ingress",
                namespace: "default".into(),
                name: "web".into(),
            },
        })
    };
    let host = |index| {
        let paths = [
            PathMatch::exact("/some"),
            PathMatch::prefix("/api"),
            PathMatch::prefix("/"),
        ];
        let routes = paths.map(route).to_vec();
        (
            Host::parse(&name(index)).unwrap(),
            Arc::new(VirtualHost { routes }),
        )
    };
    Site {
        hosts: (0..hosts).map(host).collect(),
        ..Site::default()
    }
}

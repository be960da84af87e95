//! Pods that fail while others do not: what clients notice, what pods see, who is out of use and how it comes
//! back (spec safety 13, rows 8 to 10).

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ingress_agent::model::policy::{Balance, Retry, Timeouts, UpstreamPolicy};
use ingress_agent::model::{Action, Backend, EndpointState, Policies, Route, Site, VirtualHost};

use socket2::{Domain, Socket, Type};

use crate::bed::{Bed, site, under};
use crate::health::POST;
use crate::raw::Raw;
use crate::recorder::{Answer, Recorder};

/// An address where nothing listens.
pub(crate) fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) fn policies(upstream: UpstreamPolicy) -> Policies {
    Policies {
        upstream,
        ..Policies::default()
    }
}

/// `proxy-read-timeout: 1`.
pub(crate) fn one_second() -> Policies {
    let timeouts = Timeouts {
        read: Duration::from_secs(1),
        ..Timeouts::default()
    };
    policies(UpstreamPolicy {
        timeouts,
        ..UpstreamPolicy::default()
    })
}

/// The same site with every endpoint at `address` draining.
fn draining(mut site: Site, address: SocketAddr) -> Site {
    for host in site.hosts.values_mut() {
        let routes = host.routes.iter().map(|route| {
            let Action::Forward(backend) = &route.action else {
                panic!("a route that refuses");
            };
            let mut backend = Backend::clone(backend);
            for endpoint in &mut backend.endpoints {
                if endpoint.address == address {
                    endpoint.state = EndpointState::Draining;
                }
            }
            Route {
                action: Action::Forward(backend.into()),
                ..Route::clone(route)
            }
            .into()
        });
        *host = VirtualHost {
            routes: routes.collect(),
        }
        .into();
    }
    site
}

/// The status of every request by its id: GETs and POSTs in turn, by many clients at once.
fn load(bed: &Bed, clients: usize, rounds: usize) -> HashMap<String, u16> {
    let address = bed.plain();
    let client = |client: usize| {
        let mut raw = Raw::connect(address);
        let mut ledger = HashMap::new();
        for round in 0..rounds {
            let method = ["GET", "POST"][round % 2];
            let id = format!("/{method}-{client}-{round}");
            raw.send(format!(
                "{method} {id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"
            ));
            ledger.insert(id, raw.reply().unwrap().status);
        }
        ledger
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let ledgers = clients.into_iter().map(|client| client.join().unwrap());
        ledgers.flatten().collect()
    })
}

/// An endpoint is out of use at its first failed connect, for all workers and routes, probed at most once a
/// second, and back within a second of its recovery.
#[test]
fn a_dead_pod_is_probed_once_a_second_and_used_within_a_second_of_its_return() {
    let a = Recorder::start("a");
    let dead = refusing();
    let routes: Vec<String> = (0..10).map(|route| format!("/{route}")).collect();
    let pods = [a.address(), dead];
    let mut routes: Vec<_> = routes
        .iter()
        .map(|path| ("a.test", path.as_str(), &pods[..]))
        .collect();
    routes.push(("a.test", "/", &pods));
    let bed = Bed::start(site(&routes));
    let ledger = load(&bed, 8, 20);
    assert!(ledger.values().all(|&status| status == 200));

    let back = Instant::now();
    let returned = Recorder::at(dead, "b");
    while returned.connections() == 0 {
        assert!(back.elapsed() < Duration::from_millis(1300), "nobody probed");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(returned.connections(), 1, "the workers' probes multiplied");
    // Warming: it gets requests, and not yet its share.
    let mut client = bed.connect();
    let answers: Vec<_> = (0..200)
        .map(|_| client.get("a.test", "/").text().to_owned())
        .collect();
    let of_b = answers.iter().filter(|answer| *answer == "b").count();
    assert!((1..80).contains(&of_b), "{of_b}");
}

#[test]
fn probes_come_once_a_second_whatever_is_asked() {
    // TLS with a pod that speaks none: it takes every connection and fails every probe.
    let dead = Recorder::start("dead");
    let upstream = UpstreamPolicy {
        protocol: ingress_agent::model::policy::UpstreamProtocol::Https,
        timeouts: Timeouts {
            connect: Duration::from_millis(200),
            ..Timeouts::default()
        },
        ..UpstreamPolicy::default()
    };
    let a = Recorder::start("a");
    let mut bed = Bed::start(under(
        site(&[("b.test", "/", &[dead.address()])]),
        &policies(upstream.clone()),
    ));
    assert_eq!(bed.connect().get("b.test", "/").status, 504);
    let before = dead.connections();
    let start = Instant::now();
    // Swaps forget nothing and start no second probe.
    while start.elapsed() < Duration::from_millis(2500) {
        bed.swap(under(
            site(&[("b.test", "/", &[dead.address()])]),
            &policies(upstream.clone()),
        ));
        thread::sleep(Duration::from_millis(50));
    }
    let probes = dead.connections() - before;
    assert!((1..=3).contains(&probes), "{probes} probes in 2.5 s");
    // Gone from the table: nobody probes it.
    bed.swap(site(&[("a.test", "/", &[a.address()])]));
    thread::sleep(Duration::from_millis(1100));
    let before = dead.connections();
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(dead.connections(), before);
}

/// An address where connections neither come about nor are refused, as at a pod whose machine has gone.
struct Silent {
    listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Silent {
    fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        // Its queue takes one, and then nobody.
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = std::iter::from_fn(connect).collect();
        Self {
            listener,
            _waiting: waiting,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

/// All pods are replaced while a request waits for one of them: what it began with helps it no more.
#[test]
fn a_retry_goes_to_the_pods_that_there_are_now() {
    let gone = [(); 3].map(|()| Silent::start());
    let addresses = gone.each_ref().map(Silent::address);
    let timeouts = Timeouts {
        connect: Duration::from_millis(500),
        ..Timeouts::default()
    };
    let policies = policies(UpstreamPolicy {
        timeouts,
        ..UpstreamPolicy::default()
    });
    let mut bed = Bed::start(under(site(&[("a.test", "/", &addresses)]), &policies));
    let came = Recorder::start("came");
    for method in ["GET", "POST"] {
        bed.swap(under(site(&[("a.test", "/", &addresses)]), &policies));
        let mut client = bed.connect();
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"
        ));
        while bed
            .proxy
            .endpoints()
            .iter()
            .all(|endpoint| endpoint.in_flight == 0)
        {
            thread::sleep(Duration::from_millis(1));
        }
        bed.swap(under(site(&[("a.test", "/", &[came.address()])]), &policies));
        assert_eq!(client.reply().unwrap().text(), "came", "{method}");
    }
}

/// OP-9: a SYN that nobody answers. Of `proxy-connect-timeout`'s 5 s one is waited for, once.
#[test]
fn a_pod_that_answers_no_syn_costs_one_request_a_second() {
    for request in ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", POST] {
        let (gone, a) = (Silent::start(), Recorder::start("a"));
        let bed = Bed::start(site(&[("a.test", "/", &[gone.address(), a.address()])]));
        let mut client = bed.connect();
        let times = [(); 6].map(|()| {
            let begin = Instant::now();
            assert_eq!(client.send(request).reply().unwrap().text(), "a");
            begin.elapsed()
        });
        let slow: Vec<_> = times.iter().filter(|time| time.as_millis() > 500).collect();
        let second = Duration::from_millis(990)..Duration::from_secs(2);
        assert!(slow.len() == 1 && second.contains(slow[0]), "{times:?}");
        assert_eq!(a.take_requests().len(), times.len());
    }
}

/// Where nobody else can be asked a pod has all the time that the route gives it.
#[test]
fn the_last_pod_has_the_whole_connect_timeout() {
    let (gone, a) = ([(); 2].map(|()| Silent::start()), Recorder::start("a"));
    let [one, other] = gone.each_ref().map(Silent::address);
    let limit = Duration::from_millis(1500);
    let with = |retry: Retry| {
        policies(UpstreamPolicy {
            timeouts: Timeouts {
                connect: limit,
                ..Timeouts::default()
            },
            retry,
            ..UpstreamPolicy::default()
        })
    };
    let asked = |pods: &[SocketAddr], policies: &Policies| {
        let bed = Bed::start(under(site(&[("a.test", "/", pods)]), policies));
        let mut client = bed.connect();
        let begin = Instant::now();
        let status = client.get("a.test", "/").status;
        if status == 200 {
            // The other one's turn was first.
            let begin = Instant::now();
            return (client.get("a.test", "/").status, begin.elapsed());
        }
        (status, begin.elapsed())
    };
    let slack = Duration::from_millis(800);
    let (status, took) = asked(&[one], &with(Retry::default()));
    assert!(
        status == 504 && (limit..limit + slack).contains(&took),
        "{status} {took:?}"
    );
    let (status, took) = asked(&[one, other], &with(Retry::default()));
    let both = limit + Duration::from_secs(1);
    assert!(
        status == 504 && (both..both + slack).contains(&took),
        "{status} {took:?}"
    );
    // `proxy-next-upstream` without `timeout`.
    let once = Retry {
        timeout: false,
        ..Retry::default()
    };
    let (status, took) = asked(&[one, a.address()], &with(once));
    assert!(
        status == 504 && (limit..limit + slack).contains(&took),
        "{status} {took:?}"
    );
}

#[test]
fn a_draining_pod_finishes_what_it_has_and_gets_nothing_new() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    let pods = [a.address(), b.address()];
    let mut bed = Bed::start(site(&[("a.test", "/", &pods[..1])]));
    a.script([Answer::After(Duration::from_millis(400))]);
    let mut slow = bed.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    bed.swap(draining(site(&[("a.test", "/", &pods)]), a.address()));
    let mut client = bed.connect();
    for _ in 0..20 {
        assert_eq!(client.get("a.test", "/").text(), "b");
    }
    assert_eq!(slow.reply().unwrap().text(), "a");
    assert_eq!(a.take_requests().len(), 1);
    // It is used when nothing else is left.
    b.kill();
    assert_eq!(client.get("a.test", "/").text(), "a");
    bed.swap(draining(site(&[("a.test", "/", &pods[..1])]), a.address()));
    assert_eq!(client.get("a.test", "/").text(), "a");
}

#[test]
fn idle_connections_to_a_pod_that_has_gone_are_closed() {
    let [a, b] = ["a", "b"].map(Recorder::start);
    let mut bed = Bed::start(site(&[("a.test", "/", &[a.address(), b.address()])]));
    let mut client = bed.connect();
    for _ in 0..4 {
        assert_eq!(client.get("a.test", "/").status, 200);
    }
    assert_eq!((a.open_connections(), b.open_connections()), (1, 1));
    bed.swap(site(&[("a.test", "/", &[a.address()])]));
    let start = Instant::now();
    while b.open_connections() > 0 {
        assert!(start.elapsed() < Duration::from_secs(3));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(a.open_connections(), 1);
}

#[test]
fn a_slow_pod_gets_less() {
    for balance in [Balance::LeastRequest, Balance::PeakEwma] {
        let [a, b] = ["a", "b"].map(Recorder::start);
        b.script(vec![Answer::After(Duration::from_millis(30)); 1000]);
        let upstream = UpstreamPolicy {
            balance,
            ..UpstreamPolicy::default()
        };
        let bed = Bed::start(under(
            site(&[("a.test", "/", &[a.address(), b.address()])]),
            &policies(upstream),
        ));
        let ledger = load(&bed, 4, 50);
        assert!(ledger.values().all(|&status| status == 200));
        let (of_a, of_b) = (a.take_requests().len(), b.take_requests().len());
        assert!(of_b * 3 < of_a, "{balance:?}: {of_a} and {of_b}");
        assert!(of_b > 0, "{balance:?}");
    }
}

/// Two workers keep 128 connections each to one pod; what a burst needed beyond that is closed.
#[test]
fn idle_connections_to_a_pod_are_bounded() {
    let a = Recorder::start("a");
    let bed = Bed::start(site(&[("a.test", "/", &[a.address()])]));
    a.script(vec![Answer::After(Duration::from_millis(500)); 400]);
    let mut clients: Vec<_> = (0..400).map(|_| bed.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.reply().unwrap().status, 200);
    }
    assert!(a.connections() > 256, "{} at once", a.connections());
    let start = Instant::now();
    while a.open_connections() > 256 {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{}",
            a.open_connections()
        );
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(200));
    assert!(a.open_connections() > 128, "kept: {}", a.open_connections());
}

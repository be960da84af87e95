//! Random requests are sent to a real proxy and explained; the answers must be the same.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use http::Method;
use ingress_agent::explain::{Answer, Basis, Request, StepName, Subject, explain};
use ingress_agent::model::{
    Action, Backend, Certificate, Host, HostMap, Listener, Model, PathMatch, PrivateKey, Protocol, Route,
    Site, Vip,
};
use ingress_agent::proxy::Table;
use ingress_agent::translate::{Report, Snapshot};
use proptest::prelude::*;
use proptest::sample::select;

use crate::bed::{Bed, certificate, route, site};
use crate::handshake;
use crate::random::agree_on_answer;
use crate::raw::Raw;
use crate::recorder::Recorder;

/// A site with every kind of host and path, endpoints, none, and a refusal; with or without a default.
fn subject_site(pods: &[(String, SocketAddr)], default: bool) -> Site {
    let pod = |name: &str| {
        let found = pods.iter().find(|(pod, _)| pod == name);
        [found.expect("a pod of that name").1]
    };
    let (a, b, w, any) = (pod("a"), pod("b"), pod("w"), pod("any"));
    let mut site = site(&[
        ("a.test", "/", &a),
        ("a.test", "/b", &b),
        ("a.test", "=/b/exact", &a),
        ("a.test", "/empty", &[]),
        ("*.w.test", "/", &w),
        ("only.test", "/only/deep", &w),
    ]);
    let refused = Arc::new(Route {
        action: Action::Refuse,
        ..Route::clone(&route(PathMatch::prefix("/refused"), "refused", &[]))
    });
    let mut redirected = Route::clone(&route(PathMatch::prefix("/secure"), "secure", &a));
    Arc::make_mut(&mut redirected.policies).https_redirect = true;
    let redirected = Arc::new(redirected);
    for host in site.hosts.values_mut() {
        let host = Arc::make_mut(host);
        host.routes
            .extend([Arc::clone(&refused), Arc::clone(&redirected)]);
        host.routes.sort_by_key(|route| route.matches.path.summary());
    }
    site.default = default.then(|| route(PathMatch::prefix("/"), "default", &any));
    site
}

fn model(site: Site, port: u16) -> Model {
    let listener = Listener {
        vip: Vip {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            port: NonZeroU16::new(port).unwrap(),
            protocol: Protocol::Tcp,
        },
        tls: false,
        site: Arc::new(site),
    };
    Model {
        listeners: vec![listener],
        ..Model::default()
    }
}

/// Hosts that are known, nearly known, odd and wrong.
fn any_host() -> impl Strategy<Value = String> {
    let known = select(vec![
        "a.test",
        "A.Test",
        "a.test.",
        "a.test:8080",
        "x.w.test",
        "only.test",
    ]);
    let unknown = select(vec![
        "w.test",
        "x.y.w.test",
        "b.test",
        "192.0.2.1",
        "[::1]",
        "[::1]:80",
    ]);
    let wrong = select(vec![
        "a..test", "a.test:0", "a.test:x", "u@a.test", "*.w.test", "a_b.test", "a/b", "a b", "",
    ]);
    prop_oneof![4 => known, 2 => unknown, 1 => wrong].prop_map(str::to_owned)
}

fn any_path() -> impl Strategy<Value = String> {
    let known = select(vec![
        "/", "/b", "/exact", "/empty", "/refused", "/secure", "/only", "/deep", "/bb",
    ]);
    let odd = select(vec!["/..", "/.", "//", "/%2e%2e", "/%62", "/%2F", "/B", "/;x"]);
    let wrong = select(vec!["%zz", "%00", "\\", "/a b", "/<", "/{"]);
    let element = prop_oneof![8 => known, 3 => odd, 1 => wrong];
    let query = select(vec!["", "?x=1", "?/b/../.."]);
    (proptest::collection::vec(element, 1..5), query)
        .prop_map(|(elements, query)| format!("{}{query}", elements.concat()))
        .prop_filter("a path", |path| path.starts_with('/'))
}

fn any_method() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just("GET".to_owned()), 1 => "[A-Z]{1,7}", 1 => Just("CONNECT".to_owned()), 1 => "[a-z]{3}"]
}

#[test]
fn explain_and_the_data_plane_never_disagree() {
    let recorders = ["a", "b", "w", "any"].map(|name| (name.to_owned(), Recorder::start(name)));
    let pods: Vec<(String, SocketAddr)> = recorders
        .iter()
        .map(|(name, recorder)| (name.clone(), recorder.address()))
        .collect();
    for default in [false, true] {
        let bed = Bed::start(subject_site(&pods, default));
        let model = model(subject_site(&pods, default), bed.port);
        let table = Table::from(&model);
        let (snapshot, report) = (Snapshot::empty(&Arc::from("node-a")), Report::default());
        let subject = Subject {
            snapshot: &snapshot,
            model: &model,
            report: &report,
            table: &table,
            basis: Basis::Folder,
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1_000));
        let asked = (any_method(), any_host(), any_path());
        let outcome = runner.run(&asked, |(method, host, path)| {
            let url = format!("http://127.0.0.1:{}{path}", bed.port);
            let Ok(url) = url.parse() else {
                return Ok(());
            };
            let request = Request::new(
                url,
                Method::from_bytes(method.as_bytes()).unwrap(),
                vec![format!("Host: {host}").parse().expect("a field")],
                None,
            );
            let explanation = explain(&subject, &request);

            let mut client = Raw::connect(bed.plain());
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let reply = client.reply_to(&method).expect("an answer");
            let name = |address| {
                let found = pods.iter().find(|(_, pod)| *pod == address);
                found.map(|(name, _)| name.as_str())
            };
            agree_on_answer(&explanation, &method, name, &reply)?;
            Ok(())
        });
        outcome.unwrap();
        // That the requests above reach every outcome is no accident of chance.
        for (host, path) in [
            ("a.test", "/"),
            ("a.test", "/empty"),
            ("a.test", "/refused"),
            ("a.test", "/secure"),
            ("b.test", "/"),
            ("a..test", "/"),
        ] {
            let url = format!("http://127.0.0.1:{}{path}", bed.port).parse().unwrap();
            let fields = vec![format!("Host: {host}").parse().unwrap()];
            let explanation = explain(&subject, &Request::new(url, Method::GET, fields, None));
            let reply = bed.connect().get(host, path);
            let last = explanation.steps.last().expect("a step").step;
            seen.insert((reply.status, last as u8));
        }
        let expected: &[(u16, StepName)] = if default {
            &[
                (200, StepName::Endpoints),
                (503, StepName::Endpoints),
                (503, StepName::Policies),
                (308, StepName::Policies),
                (400, StepName::Request),
            ]
        } else {
            &[
                (200, StepName::Endpoints),
                (503, StepName::Endpoints),
                (503, StepName::Policies),
                (308, StepName::Policies),
                (404, StepName::Host),
                (400, StepName::Request),
            ]
        };
        let expected = expected
            .iter()
            .map(|(status, step)| (*status, *step as u8))
            .collect();
        assert_eq!(seen, expected);
    }
}

/// A name whose key is gone is shown nothing and gets no answer; the others are as they were.
#[test]
fn a_name_whose_key_is_gone_is_not_served() {
    let a = Recorder::start("a");
    let gone = Arc::new(Certificate {
        key: PrivateKey::Gone,
        ..Certificate::clone(&certificate("a.test"))
    });
    let mut site = site(&[("a.test", "/", &[a.address()]), ("b.test", "/", &[a.address()])]);
    site.certificates = HostMap::from_iter([(Host::parse("a.test").unwrap(), gone)]);
    let bed = Bed::start(site.clone());
    let mut model = model(site, bed.port);
    model.listeners[0].vip.address = bed.tls().ip();
    model.listeners[0].tls = true;
    let (snapshot, report) = (Snapshot::empty(&Arc::from("n")), Report::default());
    for (name, is_served) in [("a.test", false), ("A.test", false), ("b.test", true)] {
        let url = format!("https://{name}:{}/", bed.port).parse().unwrap();
        let explanation = bed.proxy.read(|table| {
            let subject = Subject {
                snapshot: &snapshot,
                model: &model,
                report: &report,
                table,
                basis: Basis::Agent,
            };
            explain(&subject, &Request::new(url, Method::GET, Vec::new(), None))
        });
        let client = handshake::Client::new(rustls::ALL_VERSIONS);
        let server = rustls_pki_types::ServerName::try_from(name).unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::clone(&client.config), server).unwrap();
        let mut socket = std::net::TcpStream::connect(bed.tls()).unwrap();
        let mut shaken = Ok((0, 0));
        while connection.is_handshaking() && shaken.is_ok() {
            shaken = connection.complete_io(&mut socket);
        }
        assert_eq!(shaken.is_ok(), is_served, "{shaken:?}");
        assert_eq!(explanation.is_served(), is_served, "{explanation}");
        let is_unserved = matches!(explanation.answer, Answer::Unserved { .. });
        assert_eq!(is_unserved, !is_served, "{explanation}");
        let last = explanation.steps.last().expect("a step");
        if !is_served {
            assert_eq!(
                (last.step, last.ok),
                (StepName::Certificate, false),
                "{explanation}"
            );
        }
    }
}

#[test]
fn endpoints_that_terminate_are_told_only_when_no_other_is_left() {
    use ingress_agent::model::{Endpoint, EndpointState};
    let endpoint = |port, state| Endpoint {
        address: ([10, 1, 0, 1], port).into(),
        state,
    };
    let asked = |endpoints: Vec<Endpoint>| {
        let plain = route(PathMatch::prefix("/"), "s", &[]);
        let Action::Forward(backend) = &plain.action else {
            panic!("a route that forwards")
        };
        let backend = Arc::new(Backend {
            id: backend.id.clone(),
            endpoints,
        });
        let site = Site {
            default: Some(Arc::new(Route {
                action: Action::Forward(backend),
                ..Route::clone(&plain)
            })),
            ..Site::default()
        };
        let model = model(site, 80);
        let table = Table::from(&model);
        let (snapshot, report) = (Snapshot::empty(&Arc::from("n")), Report::default());
        let subject = Subject {
            snapshot: &snapshot,
            model: &model,
            report: &report,
            table: &table,
            basis: Basis::Folder,
        };
        let request = Request::new(
            "http://127.0.0.1/".parse().unwrap(),
            Method::GET,
            Vec::new(),
            None,
        );
        match explain(&subject, &request).answer {
            Answer::Forwarded { endpoints } => endpoints.iter().map(SocketAddr::port).collect::<Vec<_>>(),
            other @ (Answer::Answered { .. } | Answer::Redirected { .. } | Answer::Unserved { .. }) => {
                panic!("{other:?}")
            }
        }
    };
    let (ready, leaving) = (EndpointState::Ready, EndpointState::Draining);
    assert_eq!(asked(vec![endpoint(1, ready), endpoint(2, leaving)]), [1]);
    assert_eq!(asked(vec![endpoint(1, leaving), endpoint(2, leaving)]), [1, 2]);
}

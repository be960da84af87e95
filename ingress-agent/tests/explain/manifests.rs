//! Random manifests, and random requests over HTTP/1.1, TLS and HTTP/2: what `explain` says of each is what a real
//! proxy in front of real pods does with it, down to the pod, the certificate and the redirect.
//!
//! A failure prints its seed; `EXPLAIN_SEED=SEED` runs that again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ingress_agent::explain::{Answer, Basis, Explanation, Request, Step, StepName, Subject, explain};
use ingress_agent::model::{Host, Model, Opening, Protocol, Vip};
use ingress_agent::proxy::Table;
use ingress_agent::translate::Translator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::address::own_address;
use crate::bed::{Bed, site};
use crate::folder::{folder, read};
use crate::handshake::Client;
use crate::raw::{Raw, Reply};
use crate::recorder::Recorder;

const HOSTS: [&str; 5] = ["a.test", "b.test", "*.w.test", "x.w.test", ""];
const PATHS: [&str; 7] = [
    "/",
    "/a",
    "/a/b",
    "/a/",
    "/b",
    "/.well-known/acme-challenge/",
    "/a//b",
];
const SERVICES: [&str; 7] = ["p0", "p1", "p2", "leaving", "empty", "external", "none"];
const ANNOTATIONS: [&str; 12] = [
    "ssl-redirect: 'false'",
    "force-ssl-redirect: 'true'",
    "proxy-body-size: '10'",
    "proxy-body-size: '0'",
    "upstream-vhost: v.test",
    "load-balance: ewma",
    "proxy-next-upstream: 'off'",
    "auth-url: 'http://x/'",
    "backend-protocol: GRPC",
    "rewrite-target: /",
    "canary: 'true'",
    "server-snippet: 'deny all;'",
];
/// By name: for whom, and until which year.
const SECRETS: [(&str, &[&str], i32); 4] = [
    ("both", &["a.test", "b.test"], 2999),
    ("old", &["a.test"], 2020),
    ("wild", &["*.w.test"], 2999),
    ("x", &["x.w.test"], 2999),
];

/// The pods, by Service.
struct Pods(BTreeMap<&'static str, Recorder>);

impl Pods {
    fn start() -> Self {
        let pod = |name| (name, Recorder::at((own_address(), 0).into(), name));
        Self(["p0", "p1", "p2", "leaving"].map(pod).into())
    }

    fn name(&self, address: SocketAddr) -> Option<&'static str> {
        let mut found = self.0.iter().filter(|(_, pod)| pod.address() == address);
        found.next().map(|(name, _)| *name)
    }

    /// Services and their endpoints.
    fn manifest(&self) -> String {
        let service = |name: &str, spec: &str| {
            format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")
        };
        let mut text = service("empty", "{ports: [{port: 80}]}")
            + &service(
                "external",
                "{type: ExternalName, externalName: a.example, ports: [{port: 80}]}",
            );
        for (name, pod) in &self.0 {
            let conditions = if *name == "leaving" {
                "{ready: false, serving: true, terminating: true}"
            } else {
                "{ready: true}"
            };
            let (address, port) = (pod.address().ip(), pod.address().port());
            text += &service(name, "{ports: [{port: 80}]}");
            text += &format!(
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {name}-x, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                 addressType: IPv4\nports: [{{name: '', port: {port}, protocol: TCP}}]\n\
                 endpoints: [{{addresses: ['{address}'], conditions: {conditions}}}]\n"
            );
        }
        text
    }
}

/// Our class, another's, and certificates.
fn base() -> String {
    let class = |name: &str, controller: &str| {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\n\
             spec: {{controller: {controller}}}\n"
        )
    };
    let mut text = class("ours", "ingress-agent.dev/xdp") + &class("theirs", "example.com/other");
    for (name, hosts, year) in SECRETS {
        let key = rcgen::KeyPair::generate().unwrap();
        let hosts = hosts.iter().map(|&host| host.to_owned());
        let mut params = rcgen::CertificateParams::new(hosts.collect::<Vec<_>>()).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).unwrap().pem();
        let indent = |pem: &str| pem.trim_end().replace('\n', "\n    ");
        text += &format!(
            "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}}}\nstringData:\n  \
             tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            indent(&certificate),
            indent(&key.serialize_pem())
        );
    }
    text
}

fn any_path() -> impl Strategy<Value = String> {
    (
        select(vec!["Prefix", "Exact", "ImplementationSpecific"]),
        select(&PATHS[..]),
        select(&SERVICES[..]),
    )
        .prop_map(|(kind, path, service)| {
            format!(
                "{{pathType: {kind}, path: '{path}', backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}"
            )
        })
}

fn any_rule() -> impl Strategy<Value = String> {
    let paths = proptest::collection::vec(any_path(), 1..4);
    (select(&HOSTS[..]), paths)
        .prop_map(|(host, paths)| format!("{{host: '{host}', http: {{paths: [{}]}}}}", paths.join(", ")))
}

fn any_tls() -> impl Strategy<Value = String> {
    let hosts = subsequence(&["a.test", "b.test", "*.w.test", "x.w.test"][..], 0..4);
    (hosts, select(vec!["both", "old", "wild", "x", "missing"])).prop_map(|(hosts, secret)| {
        let hosts: Vec<_> = hosts.iter().map(|host| format!("'{host}'")).collect();
        format!("{{hosts: [{}], secretName: {secret}}}", hosts.join(", "))
    })
}

/// An Ingress without its name.
fn any_ingress() -> impl Strategy<Value = String> {
    let some_annotations = prop_oneof![
        2 => Just(Vec::new()),
        2 => subsequence(&ANNOTATIONS[..7], 1..3),
        1 => subsequence(&ANNOTATIONS[..], 1),
    ];
    (
        some_annotations,
        prop_oneof![8 => Just("ours"), 1 => Just("theirs")],
        proptest::collection::vec(any_tls(), 0..3),
        proptest::collection::vec(any_rule(), 1..4),
        proptest::option::weighted(0.15, select(&SERVICES[..])),
    )
        .prop_map(|(annotations, class, tls, rules, default)| {
            let annotations: BTreeMap<_, _> = annotations.iter().map(|text| text.split_once(": ").unwrap()).collect();
            let annotations: String = annotations
                .iter()
                .map(|(name, value)| format!("    nginx.ingress.kubernetes.io/{name}: {value}\n"))
                .collect();
            let default = default.map(|name| {
                format!("  defaultBackend: {{service: {{name: {name}, port: {{number: 80}}}}}}\n")
            });
            format!(
                "  annotations:\n    x: y\n{annotations}spec:\n  ingressClassName: {class}\n  tls: [{}]\n  rules: [{}]\n{}",
                tls.join(", "),
                rules.join(", "),
                default.unwrap_or_default()
            )
        })
}

fn any_manifest() -> impl Strategy<Value = String> {
    proptest::collection::vec(any_ingress(), 1..6).prop_map(|ingresses| {
        let named = ingresses.iter().enumerate().map(|(index, text)| {
            format!(
                "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i{index}\n{text}"
            )
        });
        named.collect()
    })
}

/// A request.
#[derive(Clone, Debug)]
struct Wish {
    tls: bool,
    http2: bool,
    /// What is dialled, and in TLS the server name.
    name: String,
    /// The Host, if it is another.
    host: Option<String>,
    method: String,
    path: String,
    /// A field, and what follows the head.
    field: (&'static str, &'static str),
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let names = vec![
        "a.test",
        "A.Test",
        "b.test",
        "x.w.test",
        "y.w.test",
        "w.test",
        "c.test",
        "a.x.w.test",
    ];
    let hosts = vec![
        "a.test",
        "b.test:8080",
        "x.w.test.",
        "y.w.test",
        "none.test",
        "u@a.test",
        "a_b.test",
    ];
    let paths = vec![
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/",
        "/a//b",
        "/ab",
        "/b/c?x=1",
        "/A",
        "/c",
        "/a/../b",
        "/%61",
        "/a%2Fb",
        "/%zz",
        "/.well-known/acme-challenge/token",
        "/a/./b",
        "/a?",
        "/a/../..",
    ];
    let fields = vec![
        ("X: 1", ""),
        ("Cookie: a=1", ""),
        ("Content-Length: 5", "12345"),
        ("Content-Length: 11", "12345678901"),
        ("Content-Length: 05", "12345"),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Connection: keep-alive", ""),
        ("TE: trailers", ""),
    ];
    (
        any::<bool>(),
        any::<bool>(),
        select(names),
        proptest::option::weighted(0.3, select(hosts)),
        prop_oneof![6 => select(vec!["GET", "HEAD", "POST", "DELETE"]), 1 => select(vec!["get", "CONNECT", "X"])],
        select(paths),
        prop_oneof![3 => Just(("X: 1", "")), 2 => select(fields)],
    )
        .prop_map(|(tls, http2, name, host, method, path, field)| Wish {
            tls,
            http2,
            name: name.to_owned(),
            host: host.map(str::to_owned),
            method: method.to_owned(),
            path: path.to_owned(),
            field,
        })
}

impl Wish {
    fn request(&self, port: u16) -> Request {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}:{port}{}", self.name, self.path);
        let host = self
            .host
            .as_ref()
            .map(|host| format!("Host: {host}").parse().unwrap());
        let fields = host.into_iter().chain([self.field.0.parse().unwrap()]).collect();
        let request = Request::new(url.parse().unwrap(), self.method.parse().unwrap(), fields, None);
        if self.http2 { request } else { request.over_http1() }
    }

    fn authority(&self, port: u16) -> String {
        self.host
            .clone()
            .unwrap_or_else(|| format!("{}:{port}", self.name))
    }

    fn bytes(&self, port: u16) -> String {
        let Self {
            method,
            path,
            field: (field, body),
            ..
        } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{field}\r\n\r\n{body}",
            self.authority(port)
        )
    }

    /// Sends it over HTTP/1.1, or over HTTP/2 where `http2`; the answer and the certificate that was shown.
    fn send(&self, bed: &Bed, http2: bool) -> (Reply, Vec<u8>) {
        if !self.tls {
            let mut client = Raw::connect(bed.plain());
            client.send(self.bytes(bed.port));
            return (client.reply_to(&self.method).expect("an answer"), Vec::new());
        }
        let client = Client::new(rustls::ALL_VERSIONS);
        let reply = if http2 {
            bed.block_on(self.over_http2(bed, &client))
        } else {
            let mut raw = Raw::over(client.connect(bed, &self.name));
            raw.send(self.bytes(bed.port));
            raw.reply_to(&self.method).expect("an answer")
        };
        (reply, client.take_seen())
    }

    async fn over_http2(&self, bed: &Bed, client: &Client) -> Reply {
        let mut config = (*client.config).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = tokio::net::TcpStream::connect(bed.tls()).await.unwrap();
        let name = self.name.clone().try_into().unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = made.await.unwrap();
        let driven = tokio::spawn(connection);
        let (name, value) = self.field.0.split_once(": ").unwrap();
        let request = hyper::Request::builder()
            .method(&*self.method)
            .uri(format!("https://{}{}", self.authority(bed.port), self.path))
            .header(name, value)
            .body(Full::<Bytes>::from(self.field.1))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let reply = Reply {
            status: head.status.as_u16(),
            fields: fields.collect(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        };
        driven.abort();
        reply
    }
}

/// The openings of a bed: plain at its IPv4 address, TLS at its IPv6 one.
fn openings(bed: &Bed) -> Vec<Opening> {
    let opening = |address: SocketAddr, tls| Opening {
        vip: Vip {
            address: address.ip(),
            port: NonZeroU16::new(address.port()).unwrap(),
            protocol: Protocol::Tcp,
        },
        tls,
    };
    vec![opening(bed.plain(), false), opening(bed.tls(), true)]
}

fn step(explanation: &Explanation, name: StepName) -> Option<&Step> {
    explanation.steps.iter().find(|step| step.step == name)
}

/// That the certificate is the one that is told.
fn agree_on_certificate(explanation: &Explanation, model: &Model, shown: &[u8]) -> Result<(), TestCaseError> {
    let told = step(explanation, StepName::Certificate).expect("a certificate");
    let site = &model.listeners.iter().find(|listener| listener.tls).unwrap().site;
    let quoted = told.value.strip_prefix("the certificate for `");
    let Some(pattern) = quoted.and_then(|rest| rest.split('`').next()) else {
        prop_assert!(
            !told.ok && told.value.starts_with("the agent's own"),
            "{}",
            explanation
        );
        let own = site.certificates.values().all(|pair| pair.chain[0] != shown);
        prop_assert!(own, "another's certificate\n{}", explanation);
        return Ok(());
    };
    let pair = &site.certificates[&Host::parse(pattern).unwrap()];
    prop_assert_eq!(&pair.chain[0], shown, "{}", explanation);
    prop_assert_eq!(
        told.object.clone(),
        Some(pair.origin.to_string()),
        "{}",
        explanation
    );
    let is_old = &*pair.origin.name == "old";
    prop_assert_eq!(told.ok, !is_old, "{}", explanation);
    prop_assert_eq!(
        told.value.contains("valid until 2020-01-01"),
        is_old,
        "{}",
        explanation
    );
    Ok(())
}

/// That the answer is the one that is told.
fn agree_on_answer(
    explanation: &Explanation,
    wish: &Wish,
    pods: &Pods,
    reply: &Reply,
) -> Result<(), TestCaseError> {
    let beyond = explanation
        .steps
        .iter()
        .filter(|step| step.step != StepName::Certificate);
    let all_well = beyond.clone().all(|step| step.ok);
    let has_body = wish.method != "HEAD";
    match &explanation.answer {
        Answer::Forwarded { endpoints } => {
            prop_assert_eq!(reply.status, 200, "{}", explanation);
            let names: Vec<_> = endpoints
                .iter()
                .filter_map(|address| pods.name(*address))
                .collect();
            prop_assert!(
                !has_body || names.contains(&reply.text()),
                "{}\n{:?}",
                explanation,
                reply
            );
            prop_assert!(all_well, "{}", explanation);
        }
        Answer::Answered { status, why } => {
            prop_assert_eq!(reply.status, *status, "{}", explanation);
            prop_assert!(
                !has_body || reply.text().contains(why.as_str()),
                "{}\n{:?}",
                explanation,
                reply
            );
            let last = explanation.steps.last().expect("a step");
            prop_assert!(
                !last.ok && last.why.is_some() && last.change.is_some(),
                "{}",
                explanation
            );
        }
        Answer::Redirected { status, location } => {
            prop_assert_eq!(reply.status, *status, "{}", explanation);
            prop_assert_eq!(
                reply.field("location"),
                Some(location.as_str()),
                "{}",
                explanation
            );
            prop_assert!(all_well, "{}", explanation);
        }
        Answer::Unserved { .. } => prop_assert!(false, "{}", explanation),
    }
    Ok(())
}

#[test]
fn explain_and_the_data_plane_never_disagree_on_random_manifests() {
    let random = || {
        u64::from_le_bytes(
            rcgen::KeyPair::generate().unwrap().public_key_raw()[1..9]
                .try_into()
                .unwrap(),
        )
    };
    let seed: u64 = std::env::var("EXPLAIN_SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = ProptestConfig {
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    };
    let (pods, base, begin) = (Pods::start(), base(), Instant::now());
    let base = base + &pods.manifest();
    let bed = Bed::start(site(&[]));
    let seen = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    let wishes = proptest::collection::vec(any_wish(), 25);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&(any_manifest(), wishes), |(manifest, wishes)| {
            let dir = folder(&[("base.yaml", &base), ("test.yaml", &manifest)]);
            let snapshot = read(dir.path());
            let (model, report) = Translator::default().translate_at(&snapshot, &openings(&bed));
            bed.proxy.swap(Table::from(&model)).unwrap();
            for wish in wishes {
                let request = wish.request(bed.port);
                let explanation = bed.proxy.read(|table| {
                    let subject = Subject {
                        snapshot: &snapshot,
                        model: &model,
                        report: &report,
                        table,
                        basis: Basis::Agent,
                    };
                    explain(&subject, &request)
                });
                let told = step(&explanation, StepName::Certificate);
                let http2 = told.is_some_and(|step| step.value.ends_with("HTTP/2 by ALPN"));
                prop_assert!(!http2 || wish.http2, "{}", explanation);
                let (reply, shown) = wish.send(&bed, http2);
                agree_on_answer(&explanation, &wish, &pods, &reply)?;
                if wish.tls {
                    agree_on_certificate(&explanation, &model, &shown)?;
                }
                let last = explanation.steps.last().map(|step| step.step);
                let spoken = if http2 { "h2" } else { "h1" };
                let kind = format!("{spoken} {} {}", reply.status, last.unwrap());
                *seen.borrow_mut().entry(kind).or_default() += 1;
            }
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("EXPLAIN_SEED={seed}: {error}");
    }
    let seen = seen.into_inner();
    println!("seed {seed}, {:?}: {seen:#?}", begin.elapsed());
    // What is compared is no accident of chance: each of these is one case in twenty at least.
    for kind in [
        "h1 200 endpoints",
        "h2 200 endpoints",
        "h1 404 path",
        "h1 404 host",
        "h1 400 request",
    ] {
        assert!(
            seen.contains_key(kind),
            "EXPLAIN_SEED={seed}: no {kind} in {seen:#?}"
        );
    }
}

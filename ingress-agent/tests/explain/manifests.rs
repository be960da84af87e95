//! Random manifests, of which some are broken, and the pods behind them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::address::own_address;
use crate::recorder::Recorder;

/// Two tenants, each with all Services and Secrets.
const NAMESPACES: [&str; 2] = ["default", "other"];
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
const SERVICES: [&str; 8] = ["p0", "two", "mixed", "leaving", "p1", "empty", "external", "none"];
/// Services and their pods.
const BEHIND: [(&str, &[&str]); 6] = [
    ("p0", &["p0"]),
    ("p1", &["p1"]),
    ("two", &["p1", "p2"]),
    ("mixed", &["p0", "leaving"]),
    ("leaving", &["leaving"]),
    ("empty", &[]),
];
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

/// The pods, by name. The last one terminates.
pub(crate) struct Pods(BTreeMap<&'static str, Recorder>);

impl Pods {
    pub(crate) fn start() -> Self {
        let pod = |name| (name, Recorder::at((own_address(), 0).into(), name));
        Self(["p0", "p1", "p2", "leaving"].map(pod).into())
    }

    pub(crate) fn name(&self, address: SocketAddr) -> Option<&'static str> {
        let mut found = self.0.iter().filter(|(_, pod)| pod.address() == address);
        found.next().map(|(name, _)| *name)
    }

    /// Services and their endpoints.
    pub(crate) fn manifest(&self) -> String {
        NAMESPACES
            .iter()
            .map(|namespace| self.within(namespace))
            .collect()
    }

    fn within(&self, namespace: &str) -> String {
        let service = |name: &str, spec: &str| {
            format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
            )
        };
        let mut text = service(
            "external",
            "{type: ExternalName, externalName: a.example, ports: [{port: 80}]}",
        );
        for (name, pods) in BEHIND {
            text += &service(name, "{ports: [{port: 80}]}");
            text.extend(pods.iter().map(|pod| self.slice(namespace, name, pod)));
        }
        text
    }

    fn slice(&self, namespace: &str, service: &str, pod: &str) -> String {
        let conditions = if pod == "leaving" {
            "{ready: false, serving: true, terminating: true}"
        } else {
            "{ready: true}"
        };
        let address = self.0[pod].address();
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {service}-{pod}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}\n\
             addressType: IPv4\nports: [{{name: '', port: {}, protocol: TCP}}]\n\
             endpoints: [{{addresses: ['{}'], conditions: {conditions}}}]\n",
            address.port(),
            address.ip()
        )
    }
}

/// Our class, ingress-nginx's, another's, and certificates.
pub(crate) fn base() -> String {
    let class = |name: &str, controller: &str| {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\n\
             spec: {{controller: {controller}}}\n"
        )
    };
    let mut text = class("ours", "ingress-agent.dev/xdp")
        + &class("theirs", "example.com/other")
        + &class("nginx", "k8s.io/ingress-nginx");
    for (namespace, (name, hosts, year)) in NAMESPACES
        .iter()
        .flat_map(|namespace| SECRETS.map(|secret| (namespace, secret)))
    {
        let key = rcgen::KeyPair::generate().unwrap();
        let hosts = hosts.iter().map(|&host| host.to_owned());
        let mut params = rcgen::CertificateParams::new(hosts.collect::<Vec<_>>()).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&key).unwrap().pem();
        let indent = |pem: &str| pem.trim_end().replace('\n', "\n    ");
        text += &format!(
            "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\n\
             metadata: {{name: {name}, namespace: {namespace}}}\nstringData:\n  \
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
        3 => subsequence(&ANNOTATIONS[..7], 1..4),
        1 => subsequence(&ANNOTATIONS[..], 1),
    ];
    (
        prop_oneof![2 => Just(NAMESPACES[0]), 1 => Just(NAMESPACES[1])],
        some_annotations,
        prop_oneof![6 => Just("ours"), 3 => Just("nginx"), 1 => Just("theirs")],
        proptest::collection::vec(any_tls(), 0..3),
        proptest::collection::vec(any_rule(), 1..4),
        proptest::option::weighted(0.15, select(&SERVICES[..])),
    )
        .prop_map(|(namespace, annotations, class, tls, rules, default)| {
            let annotations: BTreeMap<_, _> = annotations.iter().map(|text| text.split_once(": ").unwrap()).collect();
            let annotations: String = annotations
                .iter()
                .map(|(name, value)| format!("    nginx.ingress.kubernetes.io/{name}: {value}\n"))
                .collect();
            let default = default.map(|name| {
                format!("  defaultBackend: {{service: {{name: {name}, port: {{number: 80}}}}}}\n")
            });
            format!(
                "  namespace: {namespace}\n  annotations:\n    x: y\n{annotations}spec:\n  ingressClassName: {class}\n  tls: [{}]\n  rules: [{}]\n{}",
                tls.join(", "),
                rules.join(", "),
                default.unwrap_or_default()
            )
        })
}

pub(crate) fn any_manifest() -> impl Strategy<Value = String> {
    proptest::collection::vec(any_ingress(), 1..6).prop_map(|ingresses| {
        let named = ingresses.iter().enumerate().map(|(index, text)| {
            format!(
                "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i{index}\n{text}"
            )
        });
        named.collect()
    })
}

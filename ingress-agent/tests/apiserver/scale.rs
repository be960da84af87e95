//! Many objects, and objects as large as the API server takes (K8-8): each is served or refused in words, and harms no
//! other.
//!
//! A tenth of the case's 10,000 Ingresses, 1,000 TLS Secrets and 5,000 Services, so that it takes seconds; `cargo
//! xtask bench control --api` has all of them, and the figures.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::iter::repeat_n;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::cluster::{Cluster, NODE, ingress};
use crate::coordination::client;
use crate::publishing::PUBLISHING;

const INGRESSES: usize = 1_000;
const SECRETS: usize = 100;
const SERVICES: usize = 500;
/// Of the one Ingress that has many.
const PATHS: usize = 1_000;
/// What the API server takes of all annotations of an object (`ValidateAnnotationsSize`), in bytes.
const ANNOTATIONS: usize = 256 * 1024;
/// The size of a large object as etcd stores it, which takes 1.5 MiB (`--max-request-bytes`).
const LARGE: usize = 1_400 * 1024;
/// How many paths it has, each of 200 bytes and some for the rest of its entry.
const LONG_PATHS: usize = LARGE / 240;
/// Within this ten times as many have their first addresses.
const ADDRESSES: Duration = Duration::from_secs(60);
/// Requests to the API server under way at once.
const AT_ONCE: usize = 48;

/// Makes objects, many at once.
pub(crate) fn create(cluster: &Cluster, fill: impl AsyncFnOnce(&Client) + Send) {
    let kubeconfig = cluster.plane.kubeconfig();
    let within = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { fill(&client(&kubeconfig)).await });
        Ok(())
    };
    cluster.network().run(within).unwrap();
}

/// Makes all objects of a kind.
pub(crate) async fn all<K>(client: &Client, objects: impl Iterator<Item = Value>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), "default");
    let created = futures::stream::iter(objects).map(async |object| {
        let object = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    });
    created.buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn host(number: usize) -> String {
    format!("host-{number}.test")
}

/// Every so many Ingresses one has a Secret.
const fn with_secret(number: usize) -> bool {
    number.is_multiple_of(INGRESSES / SECRETS)
}

fn many(number: usize) -> Value {
    let service = format!("app-{}", number % SERVICES);
    let mut object = wide(
        &format!("web-{number}"),
        &host(number),
        &service,
        ["/".to_owned()],
    );
    if with_secret(number) {
        object["spec"]["tls"] = json!([{"hosts": [host(number)], "secretName": format!("tls-{number}")}]);
    }
    object
}

/// An Ingress that sends paths of a host to a Service.
pub(crate) fn wide(name: &str, host: &str, service: &str, paths: impl IntoIterator<Item = String>) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let path = |path| json!({"pathType": "Prefix", "path": path, "backend": backend});
    let paths: Vec<_> = paths.into_iter().map(path).collect();
    json!({
        "metadata": {"name": name},
        "spec": {"ingressClassName": "xdp", "rules": [{"host": host, "http": {"paths": paths}}]},
    })
}

fn secret(number: usize) -> Value {
    let pair = rcgen::generate_simple_self_signed([host(number)]).unwrap();
    json!({
        "metadata": {"name": format!("tls-{number}")},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
    })
}

fn app(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("app-{number}")},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
    })
}

/// Three endpoints, two of which are ready.
fn slice(number: usize) -> Value {
    let name = format!("app-{number}");
    json!({
        "metadata": {"name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [
            {"addresses": ["10.2.0.11"]},
            {"addresses": ["10.2.0.12"]},
            {"addresses": ["10.2.0.13"], "conditions": {"ready": false}},
        ],
    })
}

fn long_path(number: usize) -> String {
    format!("/{number:0199}")
}

fn large(name: &str) -> Value {
    wide(
        name,
        &format!("{name}.test"),
        "red",
        (0..LONG_PATHS).map(long_path),
    )
}

/// An Ingress with an annotation as long as may be.
fn annotated(name: &str, key: &str) -> Value {
    let value: String = repeat_n('x', ANNOTATIONS - key.len()).collect();
    let mut object = wide(name, &format!("{name}.test"), "red", ["/".to_owned()]);
    object["metadata"]["annotations"] = json!({key: value});
    object
}

/// How often each status was the answer to the requests that a URL with curl's ranges stands for.
pub(crate) fn statuses(cluster: &Cluster, url: &str) -> BTreeMap<String, usize> {
    let [plain, tls] = ["::127.0.0.1:8080", "::127.0.0.1:8443"];
    let to = if url.starts_with("https") { tls } else { plain };
    let quiet = [
        "--silent",
        "--insecure",
        "--noproxy",
        "*",
        "--output",
        "/dev/null",
    ];
    let asked = ["--write-out", "%{http_code}\n", "--connect-to", to, url];
    let told = cluster.network().output("curl", &[&quiet[..], &asked].concat());
    let mut statuses = BTreeMap::new();
    for status in told.unwrap().lines() {
        *statuses.entry(status.to_owned()).or_default() += 1;
    }
    statuses
}

/// So many times this status and no other.
pub(crate) fn only(status: &str, count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(status.to_owned(), count)])
}

/// That all of the many are served.
fn are_served(cluster: &Cluster) {
    let last = INGRESSES - 1;
    let plain = BTreeMap::from([
        ("200".to_owned(), INGRESSES - SECRETS),
        // Those with a certificate are sent on to https.
        ("308".to_owned(), SECRETS),
    ]);
    assert_eq!(statuses(cluster, &format!("http://host-[0-{last}].test/")), plain);
    let step = INGRESSES / SECRETS;
    let tls = format!("https://host-[0-{last}:{step}].test/");
    assert_eq!(statuses(cluster, &tls), only("200", SECRETS));
}

#[test]
fn many_objects_and_large_ones_are_each_served_or_refused_in_words() {
    let cluster = Cluster::start();
    cluster.apply(NODE);
    create(&cluster, async |client| {
        all::<Service>(client, (0..SERVICES).map(app)).await;
        all::<EndpointSlice>(client, (0..SERVICES).map(slice)).await;
        all::<Secret>(
            client,
            (0..INGRESSES).filter(|number| with_secret(*number)).map(secret),
        )
        .await;
        all::<Ingress>(client, (0..INGRESSES).map(many)).await;
    });
    let _agent = cluster.agent_with("agent", &PUBLISHING);
    are_served(&cluster);
    cluster.within(
        ADDRESSES,
        Duration::from_millis(500),
        "an address for each",
        |cluster| {
            let path = "--output=jsonpath={.items[*].status.loadBalancer.ingress[*].ip}";
            let addresses = cluster.kubectl(&["get", "ingresses", path]);
            addresses
                .split_whitespace()
                .filter(|address| *address == "10.2.0.1")
                .count()
                == INGRESSES
        },
    );

    // While it runs; together they are larger than any one object may be.
    let paths = (0..PATHS).map(|number| format!("/path-{number}"));
    let objects = [
        wide("wide", "wide.test", "red", paths),
        large("large-1"),
        large("large-2"),
        annotated("noted", "example.com/note"),
        annotated("mistaken", "nginx.ingress.kubernetes.io/proxy-body-size"),
        annotated("guarded", "nginx.ingress.kubernetes.io/auth-url"),
        annotated("guessed", "nginx.ingress.kubernetes.io/proxy-buddy-size"),
    ];
    create(&cluster, async |client| {
        all::<Ingress>(client, objects.into_iter()).await
    });
    cluster.apply(&ingress("marker", "marker.test", "red"));
    cluster.eventually("the marker", |cluster| cluster.get("marker.test", "/").0 == "200");
    for (url, expected) in [
        (
            format!("http://wide.test/path-[0-{}]", PATHS - 1),
            only("200", PATHS),
        ),
        (format!("http://wide.test/path-{PATHS}"), only("404", 1)),
        ("http://large-[1-2].test/".to_owned(), only("404", 2)),
        ("http://noted.test/".to_owned(), only("200", 1)),
        ("http://mistaken.test/".to_owned(), only("200", 1)),
        ("http://guarded.test/".to_owned(), only("503", 1)),
        ("http://guessed.test/".to_owned(), only("200", 1)),
    ] {
        assert_eq!(statuses(&cluster, &url), expected, "{url}");
    }
    for name in ["large-1", "large-2"] {
        let raw = format!("/apis/networking.k8s.io/v1/namespaces/default/ingresses/{name}");
        assert!(cluster.kubectl(&["get", "--raw", &raw]).len() > LARGE);
        let last = long_path(LONG_PATHS - 1);
        assert_eq!(cluster.get(&format!("{name}.test"), &last).0, "200");
    }
    for (name, words) in [
        ("mistaken", "degraded: "),
        ("guarded", "refused: "),
        ("guessed", "proxy-body-size"),
    ] {
        let of_it = format!("--field-selector=involvedObject.name={name}");
        let path = "--output=jsonpath={.items[*].message}";
        cluster.eventually("an Event", |cluster| {
            cluster.kubectl(&["get", "events", &of_it, path]).contains(words)
        });
    }
    are_served(&cluster);
}

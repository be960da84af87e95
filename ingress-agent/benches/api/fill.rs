//! What the cluster holds.

use std::fmt::Debug;
use std::time::Instant;

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

use crate::place::Place;
use crate::pods;

/// Ingresses, each with a host of its own.
pub(crate) const INGRESSES: usize = 10_000;
const SERVICES: usize = 5_000;
const SECRETS: usize = 1_000;
/// How many pods a Service has.
pub(crate) const PODS: usize = 3;
/// The namespace of all of them.
pub(crate) const NAMESPACE: &str = "default";
/// Requests under way at once.
const AT_ONCE: usize = 48;

pub(crate) fn host(number: usize) -> String {
    format!("host-{number}.example.com")
}

/// The Service of an Ingress.
pub(crate) fn service_of(number: usize) -> usize {
    number / 2
}

/// Where an Ingress's host answers.
pub(crate) const PATH: &str = "/app";

/// Creates everything; the API server has all of it when this returns.
pub(crate) fn fill(place: &Place) {
    let client = place.client();
    let begin = Instant::now();
    place.runtime.block_on(async {
        create::<Service>(&client, (0..SERVICES).map(service)).await;
        create::<EndpointSlice>(&client, (0..SERVICES).map(slice)).await;
        create::<Secret>(&client, (0..SECRETS).map(secret)).await;
        create::<Ingress>(&client, (0..INGRESSES).map(ingress)).await;
    });
    eprintln!("filled in {:.1} s", begin.elapsed().as_secs_f64());
}

async fn create<K>(client: &Client, objects: impl Iterator<Item = Value>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    let created = futures::stream::iter(objects).map(|object| {
        let api = api.clone();
        async move {
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        }
    });
    created.buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn ingress(number: usize) -> Value {
    let mut spec = json!({
        "ingressClassName": "ours",
        "rules": rules(number, PATH),
    });
    if number.is_multiple_of(INGRESSES / SECRETS) {
        let secret = format!("tls-{}", number / (INGRESSES / SECRETS));
        spec["tls"] = json!([{"hosts": [host(number)], "secretName": secret}]);
    }
    json!({"metadata": {"name": format!("web-{number}")}, "spec": spec})
}

/// The rules of an Ingress whose host answers at a path.
pub(crate) fn rules(number: usize, path: &str) -> Value {
    let service = format!("app-{}", service_of(number));
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let path = json!({"pathType": "Prefix", "path": path, "backend": backend});
    json!([{"host": host(number), "http": {"paths": [path]}}])
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("app-{number}")},
        "spec": {"ports": [{"port": 80, "targetPort": pods::PORT}]},
    })
}

fn slice(number: usize) -> Value {
    let name = format!("app-{number}");
    let first = number * PODS;
    json!({
        "metadata": {"name": format!("{name}-x"), "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": pods::PORT, "protocol": "TCP"}],
        "endpoints": endpoints((first..first + PODS).map(pods::old)),
    })
}

/// Endpoints that are ready.
pub(crate) fn endpoints(addresses: impl Iterator<Item = std::net::IpAddr>) -> Value {
    let ready = |address| json!({"addresses": [address], "conditions": {"ready": true}});
    addresses.map(ready).collect()
}

fn secret(number: usize) -> Value {
    let pair = rcgen::generate_simple_self_signed([host(number * INGRESSES / SECRETS)]).unwrap();
    json!({
        "metadata": {"name": format!("tls-{number}")},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.cert.pem(), "tls.key": pair.signing_key.serialize_pem()},
    })
}

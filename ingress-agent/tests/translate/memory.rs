//! Snapshots in memory, whose values keep their pointers as a source's do.

use std::sync::Arc;

use ingress_agent::digest::{self, Class, Endpoints, Ingress, Pool, Precedence, Secret, Service};
use ingress_agent::translate::{Entry, Snapshot};
use rcgen::{CertificateParams, KeyPair};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn api<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn ingress(name: &str, annotations: &Value, spec: Value) -> Arc<Ingress> {
    ingress_in("default", name, annotations, spec)
}

pub(crate) fn ingress_in(namespace: &str, name: &str, annotations: &Value, spec: Value) -> Arc<Ingress> {
    let metadata = json!({"name": name, "namespace": namespace, "annotations": annotations});
    digest::ingress::digest(api(json!({"metadata": metadata, "spec": spec})), None)
}

/// A rule's path for a Service's port 80.
pub(crate) fn path(path: &str, service: &str) -> Value {
    json!({"path": path, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}})
}

pub(crate) fn service(name: &str) -> Arc<Service> {
    let metadata = json!({"name": name, "namespace": "default"});
    digest::service::digest(
        api(json!({"metadata": metadata, "spec": {"ports": [{"port": 80}]}})),
        None,
    )
}

pub(crate) fn slice(service: &str, addresses: &[String]) -> Arc<Endpoints> {
    let metadata = json!({"name": format!("{service}-x"), "namespace": "default", "labels": {"kubernetes.io/service-name": service}});
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| json!({"addresses": [address]}))
        .collect();
    let slice = json!({"metadata": metadata, "addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints});
    digest::endpoints::digest(api(slice), None)
}

pub(crate) fn secret(name: &str, host: &str, key: &KeyPair) -> Arc<Secret> {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2999, 1, 1);
    let certificate = params.self_signed(key).unwrap().pem();
    let pair = json!({"tls.crt": certificate, "tls.key": key.serialize_pem()});
    let metadata = json!({"name": name, "namespace": "default"});
    let secret = json!({"metadata": metadata, "type": "kubernetes.io/tls", "stringData": pair});
    digest::secret::digest(api(secret), None).unwrap()
}

pub(crate) fn entry<T>(position: usize, value: &Arc<T>) -> Entry<T> {
    Entry {
        precedence: Precedence::Uncreated {
            file: Arc::from("memory"),
            position,
        },
        place: None,
        value: Arc::clone(value),
    }
}

/// A class of ours.
pub(crate) fn class(name: &str) -> Arc<Class> {
    class_of(name, ingress_agent::translate::CONTROLLER)
}

/// A class of a controller.
pub(crate) fn class_of(name: &str, controller: &str) -> Arc<Class> {
    let class = json!({"metadata": {"name": name}, "spec": {"controller": controller}});
    digest::class::digest(api(class), None)
}

/// A pool of 192.0.2.10 and other fields of its `spec`.
pub(crate) fn pool(mut spec: Value) -> Arc<Pool> {
    spec["addresses"] = json!(["192.0.2.10/31"]);
    let pool = json!({"apiVersion": "ingress-agent.dev/v1alpha1", "kind": "VipPool", "metadata": {"name": "edge"}, "spec": spec});
    digest::vippool::digest(api(pool), None)
}

/// Our default class, a pool for it and one node; nothing else.
pub(crate) fn base() -> Snapshot {
    let nodes = json!({"nodes": [{"name": "node-a", "number": 1, "addresses": ["198.51.100.1"]}]});
    Snapshot {
        time: 1_800_000_000,
        default_class: Some(Arc::from("ours")),
        classes: vec![entry(0, &class("ours"))],
        pools: vec![entry(0, &pool(json!({})))],
        nodes: Some(digest::node::digest(api(nodes), None, 0).unwrap()),
        ..Snapshot::empty(&Arc::from("node-a"))
    }
}

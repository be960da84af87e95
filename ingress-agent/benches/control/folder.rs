//! A folder of manifests as large as the marks ask for.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use ingress_agent::digest::{self, Secret};
use serde_json::json;
use tempfile::TempDir;

/// Of a full folder. Half as many Services, a tenth as many certificates.
pub(crate) const INGRESSES: usize = 10_000;
/// How many stand in one file, as a rule.
pub(crate) const PER_FILE: usize = 100;

/// A class, and a pool for it.
pub(crate) const BASE: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ours}
spec: {controller: ingress-agent.dev/xdp}
---
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [192.0.2.10], classes: [ours]}
";

/// Writes a folder with so many Ingresses.
pub(crate) fn write(ingresses: usize, per_file: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("base.yaml"), BASE).unwrap();
    for from in (0..ingresses).step_by(per_file) {
        let mut text = String::new();
        for number in from..from + per_file {
            ingress(&mut text, number, service_of(number));
        }
        std::fs::write(folder.path().join(format!("ingress-{from:05}.yaml")), text).unwrap();
        let mut text = String::new();
        for number in from / 2..(from + per_file) / 2 {
            service(&mut text, number);
        }
        for number in from / 10..(from + per_file) / 10 {
            secret(&mut text, number);
        }
        std::fs::write(folder.path().join(format!("service-{from:05}.yaml")), text).unwrap();
    }
    folder
}

/// Replaces, whole and at once, the file that holds an Ingress; that one names another Service.
pub(crate) fn edit(folder: &Path, per_file: usize, number: usize, service: usize) {
    let from = number / per_file * per_file;
    let mut text = String::new();
    for other in from..from + per_file {
        let service = if other == number {
            service
        } else {
            service_of(other)
        };
        ingress(&mut text, other, service);
    }
    let new = folder.join(".new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(format!("ingress-{from:05}.yaml"))).unwrap();
}

/// The host of an Ingress.
pub(crate) fn host(number: usize) -> String {
    format!("host-{number}.example.com")
}

/// The Service that an Ingress names at first.
pub(crate) fn service_of(number: usize) -> usize {
    number / 2
}

fn ingress(out: &mut String, number: usize, service: usize) {
    let host = host(number);
    let tls = if number.is_multiple_of(10) {
        format!("\n  tls: [{{hosts: [{host}], secretName: tls-{}}}]", number / 10)
    } else {
        String::new()
    };
    writeln!(
        out,
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web-{number}}}\nspec:\n  \
         ingressClassName: ours{tls}\n  rules: [{{host: {host}, http: {{paths: [{{pathType: Prefix, path: /, \
         backend: {{service: {{name: app-{service}, port: {{number: 80}}}}}}}}]}}}}]"
    )
    .unwrap();
}

fn service(out: &mut String, number: usize) {
    let address = |pod: usize| {
        format!(
            "10.{}.{}.{}",
            1 + number / 10_000,
            number / 100 % 100,
            number % 100 * 2 + pod % 2
        )
    };
    let endpoint = |pod: usize| {
        let address = if pod == 2 {
            address(0).replacen("10.", "11.", 1)
        } else {
            address(pod)
        };
        format!("{{addresses: [{address}], conditions: {{ready: true}}}}")
    };
    writeln!(
        out,
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: app-{number}}}\nspec: {{ports: [{{port: 80, targetPort: 8080}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: app-{number}-x, labels: {{kubernetes.io/service-name: app-{number}}}}}\n\
         addressType: IPv4\nports: [{{name: '', port: 8080, protocol: TCP}}]\nendpoints: [{}, {}, {}]",
        endpoint(0), endpoint(1), endpoint(2)
    )
    .unwrap();
}

fn secret(out: &mut String, number: usize) {
    let (certificate, key) = pair(number);
    let indent = |pem: String| pem.replace('\n', "\n    ");
    writeln!(
        out,
        "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: tls-{number}}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}",
        indent(certificate), indent(key)
    )
    .unwrap();
}

/// A certificate and its key for the host of the Ingress that names Secret `number`.
fn pair(number: usize) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([host(number * 10)]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The Secret with another pair.
pub(crate) fn rotated(number: usize) -> Arc<Secret> {
    let (certificate, key) = pair(number);
    let secret = json!({
        "metadata": {"name": format!("tls-{number}"), "namespace": "default"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    digest::secret::digest(serde_json::from_value(secret).unwrap(), None).unwrap()
}

//! Certificates: the memory of one among 10,000, what the change of one costs, a handshake among few and many.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::digest::{self, Secret};
use ingress_agent::model::{Opening, Protocol, Vip};
use ingress_agent::proxy::{Listeners, Memo, Options, Proxy};
use ingress_agent::source::file;
use ingress_agent::translate::{Snapshot, Translator};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::folder::{BASE, host};
use crate::{memory_of, row, rows_of};

/// Of a full folder, each of a host of its own.
const CERTIFICATES: usize = 10_000;
/// How many hosts, and their certificates, stand in one file.
const PER_FILE: usize = 100;
/// Handshakes per measurement.
const HANDSHAKES: usize = 1_000;

const SERVICE: &str = "---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app-x, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{name: '', port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.1.1.1], conditions: {ready: true}}]
";

/// All rows; `rounds` certificates are changed.
pub(crate) fn rows(rounds: usize) -> Vec<Value> {
    let authority = Authority::new();
    let [few, many] = [10, CERTIFICATES].map(|count| authority.folder(count, true));
    let plain = authority.folder(CERTIFICATES, false);
    let each = (memory_of(many.path()) - memory_of(plain.path())) / CERTIFICATES as f64;
    let case = "one certificate of 10,000";
    let mut rows = vec![row(case, "memory", each / 1024.0, "KiB", 1)];
    let mut server = Server::start(many.path());
    let (whole, swaps) = server.changes(&authority, rounds).into_iter().unzip();
    rows.extend(rows_of(
        "one certificate of 10,000 changed, until it is shown",
        whole,
    ));
    rows.extend(rows_of("of that, the swap", swaps));
    for (count, mut server) in [(10, Server::start(few.path())), (CERTIFICATES, server)] {
        let case = format!("TLS handshake among {count} certificates");
        rows.extend(rows_of(&case, server.handshakes(&authority, count)));
    }
    rows
}

/// Who signs all of them.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    client: Arc<ClientConfig>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(params.self_signed(&key).unwrap().der().clone())
            .unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut client = client.with_no_client_auth();
        client.resumption = Resumption::disabled();
        Self {
            issuer: Issuer::new(params, key),
            client: Arc::new(client),
        }
    }

    /// Chain and key in PEM, and the certificate.
    fn issue(&self, number: usize) -> ([String; 2], CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host(number)]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (
            [certificate.pem(), key.serialize_pem()],
            certificate.der().clone(),
        )
    }

    /// A folder of so many Ingresses, each with its Secret or none with any.
    fn folder(&self, count: usize, tls: bool) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.yaml"), format!("{BASE}{SERVICE}")).unwrap();
        for from in (0..count).step_by(PER_FILE) {
            let mut text = String::new();
            for number in from..count.min(from + PER_FILE) {
                self.host(&mut text, number, tls);
            }
            std::fs::write(folder.path().join(format!("hosts-{from:05}.yaml")), text).unwrap();
        }
        folder
    }

    fn host(&self, out: &mut String, number: usize, tls: bool) {
        let host = host(number);
        let entry = format!("\n  tls: [{{hosts: [{host}], secretName: tls-{number}}}]");
        let entry = if tls { &entry } else { "" };
        writeln!(
            out,
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: web-{number}}}\nspec:\n  \
             ingressClassName: ours{entry}\n  rules: [{{host: {host}, http: {{paths: [{{pathType: Prefix, path: /, \
             backend: {{service: {{name: app, port: {{number: 80}}}}}}}}]}}}}]"
        )
        .unwrap();
        if tls {
            let ([chain, key], _) = self.issue(number);
            let indent = |pem: String| pem.replace('\n', "\n    ");
            writeln!(
                out,
                "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: tls-{number}}}\nstringData:\n  \
                 tls.crt: |\n    {}\n  tls.key: |\n    {}",
                indent(chain),
                indent(key)
            )
            .unwrap();
        }
    }
}

/// A proxy in this process, with one worker.
struct Server {
    proxy: Proxy,
    address: SocketAddr,
    opening: Opening,
    snapshot: Snapshot,
    translator: Translator,
    memo: Memo,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let listeners = Listeners::bind(1).unwrap();
        let vip = Vip {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: NonZeroU16::new(listeners.port().unwrap()).unwrap(),
            protocol: Protocol::Tcp,
        };
        let mut server = Self {
            proxy: Proxy::start(listeners, Options::default()).unwrap(),
            address: (vip.address, vip.port.get()).into(),
            opening: Opening { vip, tls: true },
            snapshot: file::read(folder, &Arc::from("node")).unwrap(),
            translator: Translator::default(),
            memo: Memo::default(),
        };
        server.publish();
        server
    }

    /// From the snapshot to what the workers read: how long all of it took, and the swap.
    fn publish(&mut self) -> (Duration, Duration) {
        let begin = Instant::now();
        let (model, _) = self
            .translator
            .translate_at(&self.snapshot, &[self.opening], &BTreeSet::new());
        let table = self.memo.table(&model);
        let swapping = Instant::now();
        self.proxy.swap(table).unwrap();
        (begin.elapsed(), swapping.elapsed())
    }

    /// One certificate after the other is replaced; the times until the new one would be shown, and it is.
    fn changes(&mut self, authority: &Authority, rounds: usize) -> Vec<(Duration, Duration)> {
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let number = round * 37 % CERTIFICATES;
            let (pair, new) = authority.issue(number);
            let name = format!("tls-{number}");
            let entries = &mut self.snapshot.secrets;
            let entry = entries.iter_mut().find(|entry| *entry.value.object.name == *name);
            entry.expect("the Secret").value = secret(&name, &pair);
            times.push(self.publish());
            let (_, shown) = self.handshake(authority, number);
            assert_eq!(shown, new, "change {round} is not in effect");
        }
        times
    }

    fn handshakes(&mut self, authority: &Authority, count: usize) -> Vec<Duration> {
        // Scattered over the hosts, so that not one entry stays in the cache.
        let numbers = (0..HANDSHAKES).map(|index| index * 7919 % count);
        numbers
            .map(|number| self.handshake(authority, number).0)
            .collect()
    }

    /// A handshake for a host, from the connected socket to the certificate, which is checked.
    fn handshake(&self, authority: &Authority, number: usize) -> (Duration, CertificateDer<'static>) {
        let name = ServerName::try_from(host(number)).unwrap();
        let mut client = ClientConnection::new(Arc::clone(&authority.client), name).unwrap();
        let mut stream = TcpStream::connect(self.address).unwrap();
        let begin = Instant::now();
        while client.is_handshaking() {
            client.complete_io(&mut stream).unwrap();
        }
        let took = begin.elapsed();
        let shown = client.peer_certificates().unwrap()[0].clone().into_owned();
        client.send_close_notify();
        client.complete_io(&mut stream).unwrap();
        // Its end, so that not more than one connection is open.
        _ = stream.read_to_end(&mut Vec::new());
        (took, shown)
    }
}

fn secret(name: &str, [chain, key]: &[String; 2]) -> Arc<Secret> {
    let secret = json!({"metadata": {"name": name, "namespace": "default"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": chain, "tls.key": key}});
    digest::secret::digest(serde_json::from_value(secret).unwrap(), None).expect("a key pair")
}

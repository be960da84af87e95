//! The folder of Kubernetes YAML that the lab's agents follow, and its edits.
//!
//! | host | path | answered by |
//! |---|---|---|
//! | `shop.example.test` (HTTP and HTTPS) | `/` | `red` (endpoints by IPv4) |
//! | | `/blue` | `blue` (endpoints by IPv6) |
//! | `*.wild.example.test` | `/` | `blue` |
//!
//! A file is replaced whole, by rename: no reader ever sees half of it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::pod::{PORT, Pod};
use super::{VIP_V4, VIP_V6, node_addresses};

/// A node's state in `nodes.yaml`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeState {
    /// Takes new connections.
    Active,
    /// Keeps its connections and takes no new ones.
    Draining,
}

/// The folder.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
    authority: PathBuf,
}

impl Manifests {
    /// Writes the whole folder for these pods and nodes, all active.
    pub(super) fn write(directory: &Path, pods: &[Pod], nodes: u8) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("mkdir {}", directory.display()))?;
        let authority = directory.with_file_name("authority.pem");
        let manifests = Self {
            directory: directory.to_owned(),
            authority,
        };
        manifests.replace("class.yaml", CLASS)?;
        manifests.replace("pool.yaml", &pool())?;
        manifests.replace("ingress.yaml", INGRESS)?;
        let (red, blue): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod.name().starts_with("red"));
        let red: Vec<_> = red.iter().map(|pod| pod.v4().into()).collect();
        let blue: Vec<_> = blue.iter().map(|pod| pod.v6().into()).collect();
        manifests.replace("red.yaml", &service("red", &red))?;
        manifests.replace("blue.yaml", &service("blue", &blue))?;
        manifests.replace(
            "certificate.yaml",
            &manifests.certificate(&["shop.example.test"])?,
        )?;
        let nodes: Vec<_> = (1..=nodes).map(|number| (number, NodeState::Active)).collect();
        manifests.set_nodes(&nodes)?;
        Ok(manifests)
    }

    /// Where the YAML is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The certificate of the authority that signed the lab's TLS Secret, as PEM.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Puts a file into the folder, whole.
    pub fn replace(&self, file: &str, text: &str) -> Result<()> {
        let (path, new) = (
            self.directory.join(file),
            self.directory.join(format!(".{file}.new")),
        );
        fs::write(&new, text).with_context(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("rename to {}", path.display()))
    }

    /// Takes a file out of the folder.
    pub fn remove(&self, file: &str) -> Result<()> {
        let path = self.directory.join(file);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    /// Edits a file: every occurrence of one text becomes another.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let path = self.directory.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if !text.contains(from) {
            bail!("{} does not hold \"{from}\"", path.display());
        }
        self.replace(file, &text.replace(from, to))
    }

    /// Says which nodes there are, and how they are.
    pub fn set_nodes(&self, nodes: &[(u8, NodeState)]) -> Result<()> {
        let mut text = format!("secret: {SECRET}\nnodes:\n");
        for &(number, state) in nodes {
            let [v4, v6] = node_addresses(number);
            let state = match state {
                NodeState::Active => "active",
                NodeState::Draining => "draining",
            };
            text.push_str(&format!(
                "- {{name: node{number}, number: {number}, addresses: [\"{v4}\", \"{v6}\"], state: {state}}}\n"
            ));
        }
        self.replace("nodes.yaml", &text)
    }

    /// A TLS Secret `lab` for these names, signed by an authority made for it.
    fn certificate(&self, names: &[&str]) -> Result<String> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        // OpenSSL takes a certificate whose subject is its issuer for a self-signed one.
        authority
            .distinguished_name
            .push(DnType::CommonName, "the lab's authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(&self.authority, authority.self_signed(&authority_key)?.pem())
            .with_context(|| format!("write {}", self.authority.display()))?;
        let key = KeyPair::generate()?;
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate =
            CertificateParams::new(names)?.signed_by(&key, &Issuer::new(authority, authority_key))?;
        Ok(format!(
            "apiVersion: v1\n\
             kind: Secret\n\
             type: kubernetes.io/tls\n\
             metadata: {{namespace: default, name: shop}}\n\
             data:\n  tls.crt: {}\n  tls.key: {}\n",
            BASE64.encode(certificate.pem()),
            BASE64.encode(key.serialize_pem())
        ))
    }
}

/// What the slot hash and the tunnel key derive from.
const SECRET: &str = "6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d";

const CLASS: &str = "\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata:
  name: lab
  annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}
spec: {controller: ingress-agent.dev/xdp}
";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {namespace: default, name: shop, annotations: {ingress-agent.dev/ssl-redirect: \"false\"}}
spec:
  tls:
  - {hosts: [shop.example.test], secretName: shop}
  rules:
  - host: shop.example.test
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: red, port: {name: http}}}}
      - {path: /blue, pathType: Prefix, backend: {service: {name: blue, port: {number: 80}}}}
  - host: \"*.wild.example.test\"
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: blue, port: {number: 80}}}}
";

fn pool() -> String {
    format!(
        "apiVersion: ingress-agent.dev/v1alpha1\n\
         kind: VipPool\n\
         metadata: {{name: lab}}\n\
         spec:\n  addresses: [\"{VIP_V4}\", \"{VIP_V6}\"]\n  classes: [lab]\n"
    )
}

/// A Service and the one EndpointSlice behind it. All addresses are of one family.
fn service(name: &str, addresses: &[IpAddr]) -> String {
    let family = if addresses.iter().all(IpAddr::is_ipv4) {
        "IPv4"
    } else {
        "IPv6"
    };
    let endpoints: String = addresses
        .iter()
        .map(|address| format!("- {{addresses: [\"{address}\"], conditions: {{ready: true}}}}\n"))
        .collect();
    format!(
        "apiVersion: v1\n\
         kind: Service\n\
         metadata: {{namespace: default, name: {name}}}\n\
         spec:\n  ports: [{{name: http, port: 80, targetPort: {PORT}}}]\n\
         ---\n\
         apiVersion: discovery.k8s.io/v1\n\
         kind: EndpointSlice\n\
         metadata:\n  namespace: default\n  name: {name}-1\n  labels: {{kubernetes.io/service-name: {name}}}\n\
         addressType: {family}\n\
         ports: [{{name: http, port: {PORT}, protocol: TCP}}]\n\
         endpoints:\n{endpoints}"
    )
}

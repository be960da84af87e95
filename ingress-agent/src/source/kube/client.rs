//! The client of the API server, and whose server it is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::{Response, header};
use http_body_util::{BodyExt as _, Collected, Limited};
use kube::client::Body;
use kube::config::InferConfigError;
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Client, Config};
use sha2::{Digest as _, Sha256};
use tower::service_fn;

use super::{Fleet, Scope};

/// A server that is not reached within this is not there. With the TLS handshake: one that takes 5 s to answer is there.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so long is dead, whether it is in use or idle: every connection from before
/// a silent fault is given up within this time. Longer than a watch without events lives, which its server ends
/// ([`super::kind`]).
const READ: Duration = Duration::from_secs(30);
/// A request that cannot be sent within this goes nowhere.
const WRITE: Duration = Duration::from_secs(10);

/// How many bytes of a refusal are read.
const REFUSAL: usize = 64 * 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Neither a Pod's ServiceAccount nor a kubeconfig says where the API server is.
    #[error(
        "--source kube: no API server is known ({0}); run as a Pod with a ServiceAccount, or set KUBECONFIG to a \
         kubeconfig file"
    )]
    Config(#[from] InferConfigError),
    /// What they say cannot be used.
    #[error("--source kube: {0}")]
    Client(#[from] kube::Error),
    /// The file that they name as the API server's authority cannot be read.
    #[error("--source kube: {}: {error}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What tells clusters apart without asking them and without a right of its own: SHA-256 of the API server's URL
/// and authority and of the namespaces that are read and the agents' own. Another authority or another address make another cluster:
/// what was saved is then read anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity(pub [u8; 32]);

/// An API server: its URL and authority.
#[derive(Clone, Debug)]
pub struct ClusterId(Vec<Vec<u8>>);

impl ClusterId {
    fn new(config: &Config) -> Result<Self, ConnectError> {
        let mut parts = vec![config.cluster_url.to_string().into_bytes()];
        parts.extend(config.root_cert.iter().flatten().cloned());
        if let Some(path) = &config.root_cert_file {
            let authority = std::fs::read(path).map_err(|error| ConnectError::Authority {
                path: path.clone(),
                error,
            })?;
            parts.push(authority);
        }
        Ok(Self(parts))
    }

    /// Its identity to who reads this of it.
    pub fn identity(&self, scope: &Scope) -> Identity {
        // Alone or in a fleet: what was saved of the one is nothing to the other.
        let own = match &scope.fleet {
            Fleet::Alone => "",
            Fleet::Leases { namespace, .. } => namespace,
        };
        let mut namespaces: Vec<_> = scope.namespaces.iter().map(String::as_str).collect();
        namespaces.sort_unstable();
        self.hash(own, &namespaces)
    }

    /// Its identity to who reads nothing of it but the agents' namespace.
    pub(super) fn of_namespace(&self, own: &str) -> Identity {
        self.hash(own, &[])
    }

    fn hash(&self, own: &str, namespaces: &[&str]) -> Identity {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        self.0.iter().for_each(|bytes| part(bytes));
        part(own.as_bytes());
        for namespace in namespaces {
            part(namespace.as_bytes());
        }
        Identity(hash.finalize().into())
    }
}

/// An API server that can be asked.
#[expect(missing_debug_implementations, reason = "a client has none")]
pub struct Api {
    /// What asks it.
    pub client: Client,
    /// Which it is.
    pub cluster: ClusterId,
}

impl Api {
    /// The agents' namespace: the one that is given, else the ServiceAccount's or the kubeconfig's.
    pub fn own_namespace<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        given.unwrap_or_else(|| self.client.default_namespace())
    }
}

/// A client by `KUBECONFIG` or `~/.kube/config`, else by the Pod's ServiceAccount. Asks nothing yet.
pub async fn connect() -> Result<Api, ConnectError> {
    connect_by(Config::infer().await?)
}

/// The API server that a configuration names. Asks nothing yet.
pub fn connect_by(mut config: Config) -> Result<Api, ConnectError> {
    let cluster = ClusterId::new(&config)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(WRITE);
    // Whoever asks knows when to ask again: kube would ask fifteen times more at once, each time it is refused.
    config.default_retry = false;
    Ok(Api {
        client: strict(Client::try_from(config)?),
        cluster,
    })
}

/// The same client, to which every refusal is an error: of a watch's, kube takes the answer for events. What the API
/// server asks for by `Retry-After` is in the error. Must be called in a tokio runtime.
pub(super) fn strict(client: Client) -> Client {
    let (namespace, valid_until) = (client.default_namespace().to_owned(), *client.valid_until());
    let service = service_fn(move |request| {
        let client = client.clone();
        async move {
            let response = client.send(request).await?;
            if response.status().is_success() {
                Ok(response)
            } else {
                Err(refusal(response).await)
            }
        }
    });
    Client::new(service, namespace).with_valid_until(valid_until)
}

async fn refusal(response: Response<Body>) -> kube::Error {
    let (parts, body) = response.into_parts();
    // What cannot be read is not said.
    let said = Limited::new(body, REFUSAL).collect().await;
    let said = said.map(Collected::to_bytes).unwrap_or_default();
    let mut status = serde_json::from_slice(&said).unwrap_or_else(|_| {
        let words = String::from_utf8_lossy(&said);
        Status::failure(words.trim(), parts.status.canonical_reason().unwrap_or_default())
    });
    status.code = parts.status.as_u16();
    let seconds = parts.headers.get(header::RETRY_AFTER);
    if let Some(seconds) = seconds.and_then(|value| value.to_str().ok()?.parse().ok()) {
        let details = status.details.get_or_insert_with(|| StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
        details.retry_after_seconds = seconds;
    }
    kube::Error::Api(status.boxed())
}

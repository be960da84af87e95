//! The client of the API server, and whose server it is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::InferConfigError;
use kube::{Client, Config};
use sha2::{Digest as _, Sha256};

use super::{Fleet, Scope};

/// A server that is not reached within this is not there: a handshake with one that takes 5 s to answer is done by then.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so long is dead, whether it is in use or idle: every connection from before
/// a silent fault is given up within this time. Longer than a watch without events lives, which its server ends
/// ([`super::kind`]).
const READ: Duration = Duration::from_secs(30);
/// A request that cannot be sent within this goes nowhere.
const WRITE: Duration = Duration::from_secs(10);

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
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        self.0.iter().for_each(|bytes| part(bytes));
        // Alone or in a fleet: what was saved of the one is nothing to the other.
        match &scope.fleet {
            Fleet::Alone => part(&[]),
            Fleet::Leases { namespace, .. } => part(namespace.as_bytes()),
        }
        let mut namespaces: Vec<_> = scope.namespaces.iter().collect();
        namespaces.sort();
        for namespace in namespaces {
            part(namespace.as_bytes());
        }
        Identity(hash.finalize().into())
    }
}

/// A client by `KUBECONFIG` or `~/.kube/config`, else by the Pod's ServiceAccount. Asks nothing yet.
pub async fn connect() -> Result<(Client, ClusterId), ConnectError> {
    connect_by(Config::infer().await?)
}

/// A client of the API server that a configuration names. Asks nothing yet.
pub fn connect_by(mut config: Config) -> Result<(Client, ClusterId), ConnectError> {
    let cluster = ClusterId::new(&config)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(WRITE);
    // Whoever asks knows when to ask again: kube would ask fifteen times more at once, each time it is refused.
    config.default_retry = false;
    Ok((Client::try_from(config)?, cluster))
}

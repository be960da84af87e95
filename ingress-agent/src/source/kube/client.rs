//! The client of the API server.

use std::time::Duration;

use kube::config::InferConfigError;
use kube::{Client, Config};

/// A server that is not reached within this is not there.
const CONNECT: Duration = Duration::from_secs(5);
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
}

/// A client by `KUBECONFIG` or `~/.kube/config`, else by the Pod's ServiceAccount.
pub async fn connect() -> Result<Client, ConnectError> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(WRITE);
    Ok(Client::try_from(config)?)
}

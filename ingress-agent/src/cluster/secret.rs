//! Secret `ingress-agent` of our namespace: what all nodes' keys derive from.
//!
//! Whoever finds none makes it; of many who try at once the API server takes one, and all use that. One that is
//! deleted is made again with the bytes that are in use, so that no key changes. One that cannot be read changes
//! nothing and is told.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use rustix::io::Errno;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{error, info};

use super::request::{MOST, RequestError, answer};
use super::trouble::Trouble;
use super::{identity, watching};
use crate::model::vip::PoolSecret;

/// Its name.
pub const SECRET: &str = "ingress-agent";
/// The key of its bytes.
const KEY: &str = "secret";
/// Until it is tried again to make it.
const AGAIN: Duration = Duration::from_secs(2);

type Shared = Option<Arc<PoolSecret>>;

/// Follows it.
pub(super) fn start(client: &Client, namespace: &str, tasks: &mut JoinSet<()>) -> watch::Receiver<Shared> {
    let (sender, receiver) = watch::channel(None);
    tasks.spawn(follow(Api::namespaced(client.clone(), namespace), sender));
    receiver
}

async fn follow(api: Api<Secret>, shared: watch::Sender<Shared>) {
    let mut objects = pin!(watching::one(api.clone(), SECRET));
    let mut trouble = Trouble::new("reading or making Secret `ingress-agent`");
    let mut is_missing = false;
    loop {
        let object = tokio::select! {
            object = objects.next() => object,
            () = sleep(AGAIN), if is_missing => Some(Ok(None)),
        };
        match object {
            Some(Ok(Some(secret))) => {
                trouble.over();
                is_missing = false;
                take(&secret, &shared);
            }
            Some(Ok(None)) => {
                let last = shared.borrow().clone();
                match make(&api, last).await {
                    Ok(()) => trouble.over(),
                    Err(error) => trouble.tell(&error),
                }
                // Until the watch shows it.
                is_missing = true;
            }
            Some(Err(error)) => trouble.tell(&error),
            None => return,
        }
    }
}

/// Takes what the Secret holds, if that can be.
fn take(secret: &Secret, shared: &watch::Sender<Shared>) {
    match parse(secret) {
        Ok(new) => {
            shared.send_if_modified(|shared| {
                let is_new = shared.as_deref() != Some(&new);
                if is_new {
                    *shared = Some(Arc::new(new));
                }
                is_new
            });
        }
        Err(found) => {
            let consequence = match *shared.borrow() {
                Some(_) => "the last good one stays in use",
                None => "this node serves no VIP together with others",
            };
            error!(
                "Secret `{SECRET}`, key `{KEY}`: found {found}, expected 32 bytes; {consequence}: delete the Secret, \
                 and an agent makes it anew"
            );
        }
    }
}

fn parse(secret: &Secret) -> Result<PoolSecret, String> {
    let Some(ByteString(bytes)) = secret.data.as_ref().and_then(|data| data.get(KEY)) else {
        return Err("nothing".to_owned());
    };
    let bytes = <[u8; 32]>::try_from(&**bytes).map_err(|_| format!("{} bytes", bytes.len()))?;
    Ok(PoolSecret(bytes))
}

/// Why it cannot be made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("getrandom: {0}")]
    Random(#[from] Errno),
    #[error(transparent)]
    Request(#[from] RequestError),
}

/// Makes it, with the bytes that are in use, if there are any. Fine if somebody else was faster.
async fn make(api: &Api<Secret>, last: Shared) -> Result<(), MakeError> {
    let bytes = match last {
        Some(secret) => secret.0,
        None => identity::random()?,
    };
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(bytes.to_vec()))].into()),
        ..Secret::default()
    };
    match answer(MOST, api.create(&PostParams::default(), &secret)).await {
        Ok(_) => info!("made Secret `{SECRET}`, which all nodes share"),
        Err(RequestError::Outdated) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(bytes: &[u8]) -> Secret {
        Secret {
            data: Some([(KEY.to_owned(), ByteString(bytes.to_vec()))].into()),
            ..Secret::default()
        }
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let (shared, _receiver) = watch::channel(None);
        take(&secret(&[1; 31]), &shared);
        assert_eq!(*shared.borrow(), None);
        take(&secret(&[1; 32]), &shared);
        let first = shared.borrow().clone();
        assert_eq!(first.as_deref(), Some(&PoolSecret([1; 32])));
        for bad in [Secret::default(), secret(&[]), secret(&[2; 33])] {
            take(&bad, &shared);
            assert_eq!(*shared.borrow(), first);
        }
        take(&secret(&[2; 32]), &shared);
        assert_eq!(shared.borrow().as_deref(), Some(&PoolSecret([2; 32])));
    }
}

//! What outlives an agent's end: the last snapshot, so that an agent that restarts serves while the API server is
//! away.
//!
//! ```text
//! Snapshot ─encode─▶ STATE_DIR/snapshot   digests, without private keys
//!                └─▶ RUN_DIR/keys         private keys by their certificate and the fleet's secret, only where
//!                                         RUN_DIR is a tmpfs
//! ConfigMap ──────▶ STATE_DIR/config      the agents' own, before anything else is known
//! ```
//!
//! Each file says of which format and cluster it is and has a checksum ([`seal`]); one that is not sound, of
//! another format or of another cluster is told and ignored. The two need not be of one moment: a key is found
//! by the digest of its certificate. A certificate whose key is not found keeps its hosts, whose handshakes are
//! refused ([`PrivateKey::Gone`](crate::model::PrivateKey::Gone)), so that nobody is shown another in its place.
//! What could not be read is not kept.

mod code;
mod config;
mod contents;
mod place;
mod seal;
mod values;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as channel;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use super::client::Identity;
use crate::digest::{Cause, Secret};
use crate::model::PrivateKey;
use crate::translate::{Entry, Snapshot};

pub use code::Keys;
pub(super) use config::SavedConfig;
pub use contents::{Files, Kept, decode, encode, keys};
pub use seal::Unsound;

/// The least time between two writes.
const EVERY: Duration = Duration::from_secs(5);

/// Where the last snapshot is kept.
#[derive(Debug)]
pub struct Saved {
    snapshot: PathBuf,
    /// `None`: the place for keys is not in memory.
    keys: Option<PathBuf>,
    identity: Identity,
}

impl Saved {
    /// `state_dir` for digests, `run_dir` for keys, which is told if it is no place for them.
    pub fn new(state_dir: &Path, run_dir: &Path, identity: Identity) -> Self {
        let in_memory = place::is_in_memory(run_dir).unwrap_or(false);
        if !in_memory {
            warn!(
                run_dir = %run_dir.display(),
                "the run directory is no tmpfs: private keys are not kept, and an agent that restarts while the API \
                 server is away refuses TLS for their hosts"
            );
        }
        Self {
            snapshot: state_dir.join("snapshot"),
            keys: in_memory.then(|| run_dir.join("keys")),
            identity,
        }
    }

    /// The last snapshot, if there is a sound one of this cluster. `time`: see [`Snapshot::time`].
    pub(super) fn load(&self, node: &Arc<str>, time: i64) -> Option<Snapshot> {
        let file = self.read(&self.snapshot)?;
        let saved = self.keys.as_deref().and_then(|keys| self.read(keys));
        let found = match saved.map(|saved| keys(&saved, &self.identity)) {
            Some(Err(error)) => {
                warn!(%error, "the saved keys are ignored");
                None
            }
            Some(Ok(found)) => Some(found),
            None => None,
        };
        match decode(&file, &found.unwrap_or_default(), &self.identity, node) {
            Ok(snapshot) => {
                let snapshot = Snapshot { time, ..snapshot };
                info!(
                    ingresses = snapshot.ingresses.len(),
                    secrets = snapshot.secrets.len(),
                    "what was saved is served until the API server answers"
                );
                snapshot.secrets.iter().for_each(tell_gone);
                Some(snapshot)
            }
            Err(error) => {
                let file = self.snapshot.display();
                warn!(%file, %error, "the saved snapshot is ignored");
                None
            }
        }
    }

    /// `None`: there is none, or it cannot be read, which is told.
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        match std::fs::read(file) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(file = %file.display(), %error, "what was saved cannot be read");
                None
            }
        }
    }

    fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let Files { snapshot, keys } = encode(snapshot, &self.identity);
        if let Some(place) = &self.keys {
            place::replace(place, &keys)?;
        }
        place::replace(&self.snapshot, &snapshot)
    }

    /// Writes what is there and then what is sent, until nothing is sent any more.
    pub(super) async fn follow(self: Arc<Self>, mut snapshots: channel::Receiver<Arc<Snapshot>>) {
        let mut said = None;
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let saved = Arc::clone(&self);
            let written = spawn_blocking(move || saved.write(&snapshot)).await;
            let trouble = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(panicked) => Some(panicked.to_string()),
            };
            if let Some(error) = trouble.as_ref().filter(|_| said != trouble) {
                warn!(
                    file = %self.snapshot.display(),
                    %error,
                    "the snapshot is not saved: an agent that restarts while the API server is away serves an older \
                     one or none"
                );
            }
            said = trouble;
            sleep(EVERY).await;
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Gives a snapshot the saved Secrets that the API server has and has not given since the agent's start. The others
/// are let go of.
pub(super) fn keep_unreadable(snapshot: &mut Snapshot, saved: &mut Vec<Entry<Secret>>) {
    let Snapshot {
        secrets, findings, ..
    } = snapshot;
    saved.retain(|entry| {
        let object = &entry.value.object;
        let mut about = findings.iter_mut().filter(|finding| finding.object == *object);
        let unreadable = about.find(|finding| finding.fault.cause == Cause::SecretUnreadable);
        let Some(finding) = unreadable.filter(|_| !secrets.iter().any(|now| now.value.object == *object))
        else {
            return false;
        };
        finding.fault.consequence = Arc::from("the Secret stays as it was saved");
        secrets.push(entry.clone());
        true
    });
}

fn tell_gone(entry: &Entry<Secret>) {
    let Secret { object, pair, .. } = &*entry.value;
    if let Some(pair) = pair
        && pair.certificate.key == PrivateKey::Gone
    {
        warn!(secret = %object, "its key is gone: TLS for its hosts is refused until the API server answers");
    }
}

#[cfg(test)]
mod tests;

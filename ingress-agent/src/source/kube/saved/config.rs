//! The agents' ConfigMap on the disk, so that an agent that restarts while the API server is away has its settings.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::place;
use super::seal::{Magic, Unsound, open, seal};
use crate::source::kube::client::Identity;
use crate::source::kube::configmap::{Data, Known, Origin};

/// Where it is kept.
#[derive(Debug)]
pub(in crate::source::kube) struct SavedConfig {
    file: PathBuf,
    /// The last snapshot's.
    snapshot: PathBuf,
    identity: Identity,
    /// What the file holds; `None`: that is not known.
    written: Mutex<Option<Data>>,
}

impl SavedConfig {
    /// `identity`: of the cluster and the agents' namespace.
    pub(in crate::source::kube) fn new(state_dir: &Path, identity: Identity) -> Self {
        Self {
            file: state_dir.join("config"),
            snapshot: state_dir.join("snapshot"),
            identity,
            written: Mutex::default(),
        }
    }

    /// What was saved. A snapshot without it is of an agent that knew no ConfigMap, and is served by the defaults.
    pub(in crate::source::kube) fn load(&self) -> Known {
        let data = self.read();
        let origin = if data.is_some() || self.snapshot.exists() {
            Origin::Disk
        } else {
            Origin::Nobody
        };
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = data.clone();
        Known {
            data: Arc::new(data.unwrap_or_default()),
            origin,
            trouble: None,
        }
    }

    /// `None`: there is none, or it cannot be used, which is told.
    fn read(&self) -> Option<Data> {
        let file = self.file.display();
        let bytes = match std::fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(%file, %error, "the saved ConfigMap cannot be read");
                return None;
            }
        };
        let data = decode(&bytes, &self.identity);
        data.inspect_err(|error| warn!(%file, %error, "the saved ConfigMap is ignored"))
            .ok()
    }

    /// Writes it, if the file holds another.
    pub(in crate::source::kube) fn write(&self, data: &Data) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.as_ref() == Some(data) {
            return;
        }
        let bytes = encode(data, &self.identity);
        match bytes.and_then(|bytes| place::replace(&self.file, &bytes)) {
            Ok(()) => *written = Some(data.clone()),
            Err(error) => warn!(
                file = %self.file.display(),
                %error,
                "the ConfigMap is not saved: an agent that restarts while the API server is away has older settings \
                 or the defaults"
            ),
        }
    }
}

fn encode(data: &Data, identity: &Identity) -> io::Result<Vec<u8>> {
    Ok(seal(Magic::Config, identity, &serde_json::to_vec(data)?))
}

fn decode(file: &[u8], identity: &Identity) -> Result<Data, Unsound> {
    serde_json::from_slice(open(Magic::Config, identity, file)?).map_err(|_| Unsound::Contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Identity = Identity([1; 32]);

    fn data(value: &str) -> Data {
        [("log".to_owned(), value.to_owned())].into()
    }

    #[test]
    fn it_comes_back_to_its_own_cluster_only() {
        let state = tempfile::tempdir().unwrap();
        let known = |identity| SavedConfig::new(state.path(), identity).load();
        assert_eq!(known(OURS).origin, Origin::Nobody);
        let saved = SavedConfig::new(state.path(), OURS);
        for value in ["info", "debug"] {
            saved.write(&data(value));
            let known = known(OURS);
            assert_eq!((&*known.data, known.origin), (&data(value), Origin::Disk));
        }
        assert_eq!(known(Identity([2; 32])), Known::default());
        std::fs::write(state.path().join("config"), "{}").unwrap();
        assert_eq!(known(OURS), Known::default());
    }

    #[test]
    fn what_is_there_already_is_not_written_again() {
        let state = tempfile::tempdir().unwrap();
        SavedConfig::new(state.path(), OURS).write(&data("info"));
        let saved = SavedConfig::new(state.path(), OURS);
        saved.load();
        let file = state.path().join("config");
        std::fs::remove_file(&file).unwrap();
        saved.write(&data("info"));
        assert!(!file.exists());
        saved.write(&Data::new());
        assert!(file.exists());
    }

    #[test]
    fn a_snapshot_alone_is_enough_to_start_from() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("snapshot"), "").unwrap();
        let known = SavedConfig::new(state.path(), OURS).load();
        assert_eq!((known.origin, known.data.len()), (Origin::Disk, 0));
    }
}

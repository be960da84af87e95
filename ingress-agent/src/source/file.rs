//! A folder of ordinary Kubernetes YAML or JSON, with `nodes.yaml` for the fleet.
//!
//! Read are the files `*.yaml`, `*.yml` and `*.json` right in the folder, as `kubectl apply -f DIR` does;
//! not those in folders below, and none whose name begins with a dot. A file may hold several documents and
//! lists. The folder plays the API server's admission: namespace `default`, the default class, an object
//! only once. Values of objects that did not change keep their pointers from reading to reading.
//!
//! A file is read when its writer has closed it or moved it there; one that then looks like the beginning
//! of what it was, after 200 ms in which nobody wrote. What cannot be read never removes
//! anything: an object that stops making sense, and all objects of a file that is emptied or is no longer
//! YAML, stay as they last were until they can be read again or the file is deleted.

mod document;
mod folder;
mod locate;
mod object;
mod unknown;
mod watch;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::translate::Snapshot;

use folder::{Arrival, Folder};
pub use watch::{WatchError, watch};

/// The file that describes the fleet instead of holding objects.
const NODES_FILE: &str = "nodes.yaml";
/// More than a hundred thousand objects; a larger file is a mistake.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// Why a folder cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the folder {}: {source}", folder.display())]
pub struct ReadError {
    folder: PathBuf,
    source: io::Error,
}

/// Reads the folder once. `node` is this node's name: the whole fleet where there is no `nodes.yaml`.
pub fn read(dir: &Path, node: &Arc<str>) -> Result<Snapshot, ReadError> {
    let mut folder = Folder::new(dir, node);
    for name in list(dir)? {
        folder.read(&name, Arrival::Whole);
    }
    Ok(folder.snapshot())
}

/// The names of the folder's files that are read, sorted.
fn list(dir: &Path) -> Result<Vec<Arc<str>>, ReadError> {
    let failed = |source| ReadError {
        folder: dir.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in dir.read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().filter(|name| is_read(name)).map(Arc::from));
    }
    names.sort();
    Ok(names)
}

fn is_read(name: &str) -> bool {
    let extension = Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str());
    !name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

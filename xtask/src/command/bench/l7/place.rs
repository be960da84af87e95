//! Where the bench's files lie: configurations and a certificate, gone when it ends.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The name everything is asked for.
pub(super) const HOST: &str = "h1.test";

/// Before the number of the process whose folder it is.
const PREFIX: &str = "ingress-bench-l7-";

/// A folder of our own under the system's temporary one.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes the folder, with a certificate for [`HOST`] on the curve P-256: `c.pem`, `k.pem`, `both.pem`.
    pub(super) fn new() -> Result<Self> {
        remove_left_behind();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let place = Self { folder };
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).context("make a certificate")?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        place.write("c.pem", &chain)?;
        place.write("k.pem", &key)?;
        place.write("both.pem", &format!("{chain}{key}"))?;
        Ok(place)
    }

    /// Writes a file and says where.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Removes the folders of benches that were killed.
fn remove_left_behind() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // What cannot be removed is a few files in the temporary folder.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is a few files in the temporary folder.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A port of loopback that nobody listens on now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("bind a port of loopback")?;
    Ok(listener.local_addr().context("getsockname")?.port())
}

//! The agent's container image: from scratch, one static program and nothing else.
//!
//! In: a [`Program`]. Out: an OCI archive (image-spec 1.1, a tar of the image layout) for a registry or a node, or the
//! root folder that a container would see. The same program gives the same bytes: nothing of an image tells when or
//! where it was made.

mod program;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

pub use program::Program;

/// The image's name, which says that it is in no registry yet.
pub const NAME: &str = "localhost/ingress-agent";
/// Its tag: the workspace's version.
pub const TAG: &str = env!("CARGO_PKG_VERSION");
/// Where the program lies in it.
pub const ENTRYPOINT: &str = "/ingress-agent";
/// Whose it runs as where nobody says otherwise: nobody that a node knows.
const USER: &str = "65532:65532";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image.
#[derive(Debug)]
pub struct Image {
    layer: Blob,
    config: Blob,
    manifest: Blob,
    index: Vec<u8>,
}

/// A part of an image that is named by its content.
#[derive(Debug)]
struct Blob {
    kind: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Image {
    /// The image of a program.
    ///
    /// # Errors
    ///
    /// When it cannot be packed.
    pub fn new(program: &Program) -> Result<Self> {
        let tar = layer(program).context("pack the layer")?;
        let diff_id = digest(&tar);
        // Without a time and a name: the same bytes for the same program.
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
        gzip.write_all(&tar)?;
        let layer = Blob::new(LAYER, gzip.finish()?);
        let platform = json!({"architecture": program.architecture(), "os": "linux"});
        let labels = json!({
            "org.opencontainers.image.title": "ingress-agent",
            "org.opencontainers.image.description": "The ingress load balancer's agent: one per node",
            "org.opencontainers.image.version": TAG,
            "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
        });
        let config = Blob::json(
            CONFIG,
            &json!({
                "architecture": program.architecture(),
                "os": "linux",
                "config": {"User": USER, "Entrypoint": [ENTRYPOINT], "Cmd": ["--help"], "Labels": labels},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }),
        );
        let manifest = Blob::json(
            MANIFEST,
            &json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }),
        );
        let mut described = manifest.descriptor();
        if let Some(fields) = described.as_object_mut() {
            fields.insert("platform".to_owned(), platform);
            // The second is what containerd calls it after `ctr images import`.
            let names = json!({
                "org.opencontainers.image.ref.name": TAG,
                "io.containerd.image.name": format!("{NAME}:{TAG}"),
            });
            fields.insert("annotations".to_owned(), names);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]});
        Ok(Self {
            layer,
            config,
            manifest,
            index: index.to_string().into_bytes(),
        })
    }

    /// What a registry calls it: the digest of its manifest.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// Its size in a registry, in bytes.
    pub fn size(&self) -> usize {
        [&self.layer, &self.config, &self.manifest]
            .map(|blob| blob.bytes.len())
            .iter()
            .sum()
    }

    /// Writes it as an OCI archive: what `skopeo copy oci-archive:FILE` and `ctr images import FILE` take.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let mut archive = Builder::new(file);
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        let files = [
            ("oci-layout".to_owned(), layout.as_bytes()),
            ("index.json".to_owned(), &self.index),
            self.config.file(),
            self.layer.file(),
            self.manifest.file(),
        ];
        for (name, bytes) in files {
            append(&mut archive, &name, 0o644, bytes).with_context(|| format!("write {}", path.display()))?;
        }
        archive.into_inner()?.sync_all()?;
        Ok(())
    }
}

/// Unpacks a program's image into a folder: the root that a container of it has.
///
/// # Errors
///
/// When the folder cannot be written.
pub fn unpack(program: &Program, root: &Path) -> Result<()> {
    let layer = layer(program).context("pack the layer")?;
    std::fs::create_dir_all(root)
        .and_then(|()| Archive::new(&*layer).unpack(root))
        .with_context(|| format!("unpack the image into {}", root.display()))
}

impl Blob {
    fn new(kind: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            kind,
            digest: digest(&bytes),
            bytes,
        }
    }

    fn json(kind: &'static str, value: &Value) -> Self {
        Self::new(kind, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.bytes.len()})
    }

    /// Its place in the archive.
    fn file(&self) -> (String, &[u8]) {
        (format!("blobs/{}", self.digest.replace(':', "/")), &self.bytes)
    }
}

/// The one layer, as a tar.
fn layer(program: &Program) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(
        &mut tar,
        ENTRYPOINT.trim_start_matches('/'),
        0o755,
        program.bytes(),
    )?;
    Ok(tar.into_inner()?)
}

/// A file of root's, made at the epoch's begin.
fn append(tar: &mut Builder<impl Write>, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(bytes.len().try_into()?);
    for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
        set(&mut header, 0);
    }
    tar.append_data(&mut header, name, bytes)?;
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests;

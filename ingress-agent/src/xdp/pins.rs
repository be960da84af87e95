//! The pin directory: what lies where on the bpffs, and what of it this start made.
//!
//! ```text
//! PIN_DIR/layout              a symbolic link whose target is the layout version (a bpffs holds no ordinary files)
//! PIN_DIR/VIP_ADDRS, ...      the maps, by name
//! PIN_DIR/links/xdp-INTERFACE XDP's link on an interface
//! PIN_DIR/links/steer         the socket lookup's link
//! PIN_DIR/vips/ADDRESS-PORT-PROTO    each VIP's backend map
//! PIN_DIR/slots/POOL          each pool's slot table
//! ```
//!
//! A bpffs refuses names with a dot in directories that have any permission bit (`bpf_lookup` in kernel/bpf/inode.c),
//! and addresses, interfaces and pools have dots. So `links`, `vips` and `slots` have mode 0, which root passes by
//! CAP_DAC_OVERRIDE.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use ingress_common::LAYOUT_VERSION;

use super::sys::{BESIDE, SysError, is_bpffs, remove};
use crate::model::Vip;

/// The pin directory's paths.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

/// Why pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// No bpffs.
    #[error(
        "{} is not on a bpffs, where alone BPF maps can be pinned; mount one with `mount -t bpf bpf /sys/fs/bpf`, or \
         name a directory on one with --pin-dir", dir.display()
    )]
    NotBpffs {
        /// The pin directory.
        dir: PathBuf,
    },
    /// Made by another version of this program.
    #[error(
        "the pins in {} have layout {found} and this agent has layout {LAYOUT_VERSION}; run the agent that made them, \
         or end it and remove them with `rm -r {}` (which ends their service), or use another --pin-dir",
        dir.display(), dir.display()
    )]
    Layout {
        /// The pin directory.
        dir: PathBuf,
        /// What `layout` says.
        found: String,
    },
    /// The kernel refused.
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl Pins {
    /// The directories below the pin directory.
    pub(super) const DIRECTORIES: [&str; 3] = ["links", "vips", "slots"];

    /// The paths below a directory, which need not be there.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Makes the directory on its bpffs, unless it is there.
    pub fn prepare(dir: &Path) -> Result<(Self, Undo), PinsError> {
        let pins = Self::at(dir);
        let present = dir
            .ancestors()
            .find(|ancestor| ancestor.exists())
            .unwrap_or(Path::new("/"));
        if !is_bpffs(present)? {
            return Err(PinsError::NotBpffs { dir: dir.to_owned() });
        }
        let mut undo = Undo::default();
        let missing: Vec<&Path> = dir
            .ancestors()
            .take_while(|ancestor| *ancestor != present)
            .collect();
        for missing in missing.into_iter().rev() {
            undo.directory(missing, 0o700)?;
        }
        Ok((pins, undo))
    }

    /// Checks the layout of pins that are there; states ours where there are none. Clears what a process left that ended
    /// while it replaced a pin.
    pub fn settle_layout(&self, undo: &mut Undo) -> Result<(), PinsError> {
        let link = self.layout();
        match fs::read_link(&link) {
            Ok(found) if found.to_str() == Some(&LAYOUT_VERSION.to_string()) => {}
            Ok(found) => {
                return Err(PinsError::Layout {
                    dir: self.dir.clone(),
                    found: found.display().to_string(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if super::maps::name::ALL.iter().any(|name| self.map(name).exists()) {
                    return Err(PinsError::Layout {
                        dir: self.dir.clone(),
                        found: "unknown".to_owned(),
                    });
                }
                symlink(LAYOUT_VERSION.to_string(), &link)
                    .map_err(SysError::new("symlink", link.display()))?;
                undo.made(link);
            }
            Err(error) => return Err(SysError::new("readlink", link.display())(error).into()),
        }
        for name in Self::DIRECTORIES {
            undo.directory(&self.dir.join(name), 0)?;
            for left in self.list(name)?.iter().filter(|left| left.starts_with(BESIDE)) {
                remove(&self.dir.join(name).join(left))?;
            }
        }
        Ok(())
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The link that states the layout's version; there is one as long as anything is pinned.
    pub fn layout(&self) -> PathBuf {
        self.dir.join("layout")
    }

    /// A map's pin.
    pub fn map(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The pin of XDP's link on an interface.
    pub fn xdp_link(&self, interface: &str) -> PathBuf {
        self.dir.join("links").join(format!("{XDP}{interface}"))
    }

    /// The pin of the socket lookup's link.
    pub fn steer_link(&self) -> PathBuf {
        self.dir.join("links").join("steer")
    }

    /// The interfaces whose links are pinned.
    pub fn linked_interfaces(&self) -> Result<Vec<String>, SysError> {
        let names = self.list("links")?;
        Ok(names
            .iter()
            .filter_map(|name| name.strip_prefix(XDP))
            .map(str::to_owned)
            .collect())
    }

    /// The pin of a VIP's backend map.
    pub fn vip(&self, vip: Vip) -> PathBuf {
        self.dir.join("vips").join(vip.to_string())
    }

    /// The pin of a pool's slot table.
    pub fn slots(&self, pool: &str) -> PathBuf {
        self.dir.join("slots").join(pool)
    }

    /// The names in one of the directories, sorted.
    pub fn list(&self, directory: &str) -> Result<Vec<String>, SysError> {
        let path = self.dir.join(directory);
        let error = |error| SysError::new("readdir", path.display())(error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(error)? {
            names.push(entry.map_err(error)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

const XDP: &str = "xdp-";

/// What a start made, to be removed when it fails.
#[derive(Debug, Default)]
pub struct Undo {
    paths: Vec<PathBuf>,
}

impl Undo {
    /// Remembers a pin or link that this start made.
    pub fn made(&mut self, path: PathBuf) {
        self.paths.push(path);
    }

    /// Makes a directory unless it is there.
    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), SysError> {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => self.paths.push(path.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(SysError::new("mkdir", path.display())(error)),
        }
        Ok(())
    }

    /// The start succeeded: everything stays.
    pub fn keep(mut self) {
        self.paths.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for path in self.paths.drain(..).rev() {
            let result = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir(&path).map_err(SysError::new("rmdir", path.display()))
            } else {
                remove(&path)
            };
            if let Err(error) = result {
                tracing::warn!(%error, "cannot undo a start that failed");
            }
        }
    }
}

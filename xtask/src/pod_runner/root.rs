//! A container's files: a copy of its image's, with the Pod's volumes mounted in it.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use rustix::mount::MountFlags;

use super::Kubelet;
use super::sandbox::Sandbox;
use super::volume::Volumes;
use crate::lab::run;

/// Of the machine's devices a container has these.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// What is mounted where, ready to be used between fork and exec: nothing is allocated any more.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) directory: CString,
    pub(super) mounts: Vec<Mount>,
    pub(super) read_only: bool,
    _volumes: Volumes,
}

/// One mount. `to`: outside of the root.
#[derive(Debug)]
pub(super) enum Mount {
    /// Files from elsewhere.
    Bind {
        from: CString,
        to: CString,
        read_only: bool,
    },
    /// A file system of its own.
    New {
        kind: &'static str,
        to: CString,
        flags: MountFlags,
    },
}

impl Root {
    /// Copies the image's files, and fills the Pod's volumes.
    pub(super) async fn prepare(
        kubelet: &Rc<Kubelet>,
        pod: &Pod,
        container: &Container,
        sandbox: &Sandbox,
        files: &Path,
    ) -> Result<Self> {
        let own = kubelet
            .scratch
            .directory()
            .join("pods")
            .join(pod.uid().unwrap_or_default());
        let root = own.join("root");
        directory(&root)?;
        run(
            Command::new("cp")
                .arg("--archive")
                .arg(files.join("."))
                .arg(&root),
            "",
        )?;
        let volumes = Volumes::fill(kubelet, pod, sandbox, &own.join("volumes")).await?;
        let mut mounts = standard(&root)?;
        let mut wanted: Vec<_> = container.volume_mounts.iter().flatten().collect();
        wanted.sort_by_key(|mount| mount.mount_path.len());
        for mount in wanted {
            let from = volumes.path(&mount.name)?;
            mounts.push(Mount::Bind {
                from: text(&from.join(mount.sub_path.as_deref().unwrap_or_default()))?,
                to: text(&point(&root, &mount.mount_path)?)?,
                read_only: mount.read_only == Some(true),
            });
        }
        let context = container.security_context.as_ref();
        Ok(Self {
            directory: text(&root)?,
            mounts,
            read_only: context.and_then(|context| context.read_only_root_filesystem) == Some(true),
            _volumes: volumes,
        })
    }
}

/// What every container has: its processes' and its machine's files, which it cannot write, and a few devices.
fn standard(root: &Path) -> Result<Vec<Mount>> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let sysctl = text(&root.join("proc/sys"))?;
    let mut mounts = vec![
        Mount::New {
            kind: "proc",
            to: text(&point(root, "proc")?)?,
            flags: safe,
        },
        Mount::Bind {
            from: sysctl.clone(),
            to: sysctl,
            read_only: true,
        },
        Mount::New {
            kind: "sysfs",
            to: text(&point(root, "sys")?)?,
            flags: safe | MountFlags::RDONLY,
        },
    ];
    let devices = point(root, "dev")?;
    for name in DEVICES {
        let to = devices.join(name);
        fs::write(&to, "").with_context(|| format!("write {}", to.display()))?;
        mounts.push(Mount::Bind {
            from: text(&Path::new("/dev").join(name))?,
            to: text(&to)?,
            read_only: false,
        });
    }
    Ok(mounts)
}

/// Makes the place of a mount.
fn point(root: &Path, path: &str) -> Result<PathBuf> {
    let point = root.join(path.trim_start_matches('/'));
    directory(&point)?;
    Ok(point)
}

pub(super) fn directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("mkdir {}", path.display()))
}

fn text(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).with_context(|| path.display().to_string())
}

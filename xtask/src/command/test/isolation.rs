//! A place of their own for the tests: mounts that nobody else sees, and orphans that come back to us.
//!
//! Named network namespaces and bpffs are mounts, so what a killed test leaves of them is seen exactly,
//! whatever else runs on the machine, and ends with this process at the latest.

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

/// Where iproute2 keeps named namespaces.
pub(super) const NAMESPACES: &str = "/run/netns";

/// Moves this process, which has one thread, and all that it starts.
pub(super) fn begin() -> Result<()> {
    // SAFETY: only a mount namespace is unshared, no file descriptor table or file system attributes
    // that another thread could count on; and this process has no other thread yet.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.context("unshare(CLONE_NEWNS)")?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("mount(/, private)")?;
    std::fs::create_dir_all(NAMESPACES).with_context(|| format!("mkdir {NAMESPACES}"))?;
    rustix::mount::mount("tests", NAMESPACES, "tmpfs", MountFlags::empty(), None)
        .with_context(|| format!("mount tmpfs on {NAMESPACES}"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context("prctl(PR_SET_CHILD_SUBREAPER)")
}

//! Between fork and exec of a container's process: its files, its user and its capabilities.
//!
//! Its seccomp and AppArmor profiles are not applied, and it sees the machine's processes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags};

use super::root::{Mount, Root};

/// What a container may do as far as its user and the kernel's capabilities say.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    user: Uid,
    group: Gid,
    /// The bounding set, which root has as its own; any other user has none (Kubernetes sets no ambient ones).
    capabilities: CapabilitySet,
    /// `allowPrivilegeEscalation: false`.
    no_new: bool,
}

impl Rights {
    /// Reads a Pod's security context and its container's, which goes first.
    pub(super) fn of(spec: &PodSpec, container: &Container) -> Result<Self> {
        let pod = spec.security_context.as_ref();
        let own = container.security_context.as_ref();
        let id = |own: Option<i64>, pod: Option<i64>| u32::try_from(own.or(pod).unwrap_or(0));
        let user = id(
            own.and_then(|own| own.run_as_user),
            pod.and_then(|pod| pod.run_as_user),
        );
        let group = id(
            own.and_then(|own| own.run_as_group),
            pod.and_then(|pod| pod.run_as_group),
        );
        ensure!(
            own.and_then(|own| own.privileged) != Some(true),
            "no container is privileged here"
        );
        let listed = own.and_then(|own| own.capabilities.as_ref());
        let (mut dropped, mut added) = (CapabilitySet::empty(), CapabilitySet::empty());
        for name in listed
            .and_then(|listed| listed.drop.as_ref())
            .into_iter()
            .flatten()
        {
            dropped |= named(name)?;
        }
        for name in listed
            .and_then(|listed| listed.add.as_ref())
            .into_iter()
            .flatten()
        {
            added |= named(name)?;
        }
        Ok(Self {
            user: Uid::from_raw(user.context("runAsUser")?),
            group: Gid::from_raw(group.context("runAsGroup")?),
            capabilities: (DEFAULT - dropped) | added,
            no_new: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
        })
    }

    /// Gives the calling process these, and no more. It ends with the thread that started it, which a change of user
    /// would undo.
    fn take(&self) -> io::Result<()> {
        for other in CapabilitySet::all().difference(self.capabilities).iter() {
            match rustix::thread::remove_capability_from_bounding_set(other) {
                // A kernel that does not know it.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        rustix::thread::set_thread_groups(&[self.group])?;
        rustix::thread::set_thread_res_gid(self.group, self.group, self.group)?;
        if self.user.is_root() {
            let sets = CapabilitySets {
                effective: self.capabilities,
                permitted: self.capabilities,
                inheritable: CapabilitySet::empty(),
            };
            rustix::thread::set_capabilities(None, sets)?;
        } else {
            rustix::thread::set_thread_res_uid(self.user, self.user, self.user)?;
        }
        if self.no_new {
            rustix::thread::set_no_new_privs(true)?;
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    }
}

/// What containerd leaves a container that asks for nothing.
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// A capability as Kubernetes names it: without `CAP_`.
fn named(name: &str) -> Result<CapabilitySet> {
    if name == "ALL" {
        return Ok(CapabilitySet::all());
    }
    CapabilitySet::from_name(name).with_context(|| format!("there is no capability {name}"))
}

/// Has a command start as a container's first process.
pub(super) fn confine(command: &mut Command, root: Arc<Root>, rights: Rights) {
    let begin = move || {
        root.enter()?;
        rights.take()
    };
    // SAFETY: between fork and exec the closure makes plain system calls on what it owns; it takes no lock and
    // allocates nothing.
    unsafe { command.pre_exec(begin) };
}

/// Has a command start beside a container's process.
pub(super) fn join(command: &mut Command, container: i32, rights: Rights) -> Result<()> {
    let path = format!("/proc/{container}/ns/mnt");
    let files = File::open(&path).with_context(|| format!("open {path}"))?;
    let begin = move || {
        let kind = Some(LinkNameSpaceType::Mount);
        rustix::thread::move_into_link_name_space(files.as_fd(), kind)?;
        rights.take()
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(begin) };
    Ok(())
}

impl Root {
    /// Moves the calling process into a mount namespace of its own, with these files.
    fn enter(&self) -> io::Result<()> {
        // SAFETY: the calling process has one thread, and shares no descriptors or files with another.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", private)?;
        let root = &*self.directory;
        rustix::mount::mount_bind_recursive(root, root)?;
        for mount in &self.mounts {
            match mount {
                Mount::New { kind, to, flags } => {
                    rustix::mount::mount(*kind, &**to, *kind, *flags, None)?;
                }
                Mount::Bind { from, to, read_only } => {
                    rustix::mount::mount_bind_recursive(&**from, &**to)?;
                    if *read_only {
                        let flags = MountFlags::BIND | MountFlags::RDONLY;
                        rustix::mount::mount_remount(&**to, flags, c"")?;
                    }
                }
            }
        }
        rustix::process::chdir(root)?;
        // The old root ends up below the new one, and is taken away from there (pivot_root(2), NOTES).
        rustix::process::pivot_root(c".", c".")?;
        rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")?;
        if self.read_only {
            rustix::mount::mount_remount(c"/", MountFlags::BIND | MountFlags::RDONLY, c"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rights(pod: serde_json::Value, own: serde_json::Value) -> Result<Rights> {
        let spec = json!({"containers": [], "securityContext": pod});
        let container = json!({"name": "one", "securityContext": own});
        Rights::of(
            &serde_json::from_value(spec)?,
            &serde_json::from_value(container)?,
        )
    }

    #[test]
    fn a_container_has_what_is_left_and_what_is_added() {
        let none = rights(json!({}), json!({"capabilities": {"drop": ["ALL"]}})).unwrap();
        assert_eq!(none.capabilities, CapabilitySet::empty());
        assert!(none.user.is_root() && !none.no_new);
        let own =
            json!({"capabilities": {"drop": ["CHOWN"], "add": ["BPF"]}, "allowPrivilegeEscalation": false});
        let some = rights(json!({"runAsUser": 7}), own).unwrap();
        let expected = (DEFAULT - CapabilitySet::CHOWN) | CapabilitySet::BPF;
        assert_eq!(some.capabilities, expected);
        assert_eq!((some.user, some.no_new), (Uid::from_raw(7), true));
        assert!(rights(json!({}), json!({"capabilities": {"add": ["CAP_BPF"]}})).is_err());
        assert!(rights(json!({}), json!({"privileged": true})).is_err());
    }
}

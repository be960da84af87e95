//! Links: what keeps a program attached, and lets it be replaced without a gap.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::{SysError, bpf, bpf_fd, info, long_name, object};

/// `XDP_FLAGS_DRV_MODE` of include/uapi/linux/if_link.h: in the driver, or not at all.
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Where a program is attached.
#[derive(Clone, Copy, Debug)]
pub enum AttachPoint<'a> {
    /// XDP in the driver of an interface.
    Interface(u32),
    /// The socket lookup of a network namespace.
    Namespace(BorrowedFd<'a>),
}

/// A link.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

/// What the kernel tells of a link: the beginning of `struct bpf_link_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub struct LinkInfo {
    kind: u32,
    /// The link's own number, the same for as long as it lives.
    pub id: u32,
    /// The program's number.
    pub program: u32,
    reserved: u32,
    /// For XDP: the interface, 0 when it is gone. For a network namespace: its inode number, 0 when it is gone.
    pub target: u32,
    attach_type: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct CreateAttributes {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct UpdateAttributes {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

impl Link {
    /// Attaches a program. The link detaches it when its last descriptor and pin are gone.
    pub fn create(program: BorrowedFd<'_>, point: AttachPoint<'_>) -> Result<Self, SysError> {
        let (target, attach_type, flags) = match point {
            AttachPoint::Interface(index) => (index, bpf_attach_type::BPF_XDP, XDP_FLAGS_DRV_MODE),
            AttachPoint::Namespace(fd) => (fd.as_raw_fd().cast_unsigned(), bpf_attach_type::BPF_SK_LOOKUP, 0),
        };
        let program = program.as_raw_fd().cast_unsigned();
        let mut attributes = CreateAttributes {
            program,
            target,
            attach_type: attach_type as u32,
            flags,
        };
        // SAFETY: there is no pointer in the attributes; the command answers with a descriptor.
        let fd = unsafe { bpf_fd(bpf_cmd::BPF_LINK_CREATE, &mut attributes) }
            .map_err(SysError::new("BPF_LINK_CREATE", format_args!("{point:?}")))?;
        Ok(Self { fd })
    }

    /// Opens a pinned link.
    pub fn open(path: &Path) -> Result<Self, SysError> {
        Ok(Self {
            fd: object::open(path, object::Kind::Link)?,
        })
    }

    /// Pins it in place of what has this pin, so that it outlives this process.
    pub fn pin(&self, path: &Path) -> Result<(), SysError> {
        object::pin_over(self.fd.as_fd(), path)
    }

    /// Replaces its program: each packet meets the old one or the new one.
    pub fn update(&self, program: BorrowedFd<'_>) -> Result<(), SysError> {
        let mut attributes = UpdateAttributes {
            link: self.fd.as_raw_fd().cast_unsigned(),
            program: program.as_raw_fd().cast_unsigned(),
            flags: 0,
            old_program: 0,
        };
        // SAFETY: there is no pointer in the attributes.
        unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attributes) }.map_err(SysError::new(
            "BPF_LINK_UPDATE",
            format_args!("link {}", self.id()),
        ))?;
        Ok(())
    }

    /// Detaches its program at once, whoever else holds the link.
    pub fn detach(&self) -> Result<(), SysError> {
        let mut attributes = self.fd.as_raw_fd().cast_unsigned();
        // SAFETY: the member's only field is the link's descriptor.
        unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attributes) }.map_err(SysError::new(
            "BPF_LINK_DETACH",
            format_args!("link {}", self.id()),
        ))?;
        Ok(())
    }

    /// What the kernel tells of it.
    pub fn info(&self) -> Result<LinkInfo, SysError> {
        info(self.fd.as_raw_fd()).map_err(SysError::new("BPF_OBJ_GET_INFO_BY_FD", "a link"))
    }

    fn id(&self) -> u32 {
        self.info().map(|info| info.id).unwrap_or_default()
    }
}

/// The beginning of `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ProgramInfo {
    before: [u64; 8],
    name: [u8; 16],
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct IdAttributes {
    id: u32,
    next: u32,
    flags: u32,
}

/// A program's name by its number; `None` where the kernel does not tell (it asks for CAP_SYS_ADMIN).
pub fn program_name(id: u32) -> Option<String> {
    let mut attributes = IdAttributes {
        id,
        next: 0,
        flags: 0,
    };
    // SAFETY: there is no pointer in the attributes; the command answers with a descriptor.
    let fd = unsafe { bpf_fd(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attributes) }.ok()?;
    let info: ProgramInfo = info(fd.as_raw_fd()).ok()?;
    Some(long_name(&info.name))
}

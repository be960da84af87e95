//! The bpf(2) system call, for what the loader cannot do: inner maps with BTF, batches, links of every kind.
//!
//! In and out: bytes and file descriptors. This is the home of `unsafe` in the kernel's side of the agent; all that
//! leaves it is safe to call. It knows the kernel's `union bpf_attr` (include/uapi/linux/bpf.h) and none of our maps.

mod link;
mod map;
mod object;

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use aya_obj::generated::bpf_cmd;
use bytemuck::Pod;

pub use link::{AttachPoint, Link, LinkInfo, program_name};
pub use map::{Batch, Btf, Map, Shape, cpus};
pub use object::{BESIDE, is_bpffs, monotonic_ns, remove};

/// A system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} {object}: {cause}")]
pub struct SysError {
    /// The call, as its manual page names it.
    pub call: &'static str,
    /// What it was called for.
    pub object: String,
    /// The kernel's answer.
    pub cause: io::Error,
}

impl SysError {
    /// For use in `map_err`.
    pub fn new(call: &'static str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self {
            call,
            object: object.to_string(),
            cause,
        }
    }

    /// The error's number, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }
}

/// One call of bpf(2).
///
/// # Safety
///
/// `attributes` is the beginning of the member of `union bpf_attr` that belongs to `command`; each pointer in it is
/// valid for what the command reads and writes through it.
unsafe fn bpf<T: Pod>(command: bpf_cmd, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes at most of `attributes`, which is a live value
    // without padding; the caller answers for the pointers in it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| io::Error::other("bpf(2) answered with more than an int"))
}

/// One call of bpf(2) that answers with a file descriptor.
///
/// # Safety
///
/// As for [`bpf`], and `command` answers with a new file descriptor.
unsafe fn bpf_fd<T: Pod>(command: bpf_cmd, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: what this function asks of its caller is what `bpf` asks.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: the command made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct bpf_attr`'s member of BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct InfoAttributes {
    fd: u32,
    length: u32,
    info: u64,
}

/// What the kernel tells of an object: the beginning of its info structure.
fn info<T: Pod>(fd: i32) -> io::Result<T> {
    let mut info = T::zeroed();
    let mut attributes = InfoAttributes {
        fd: fd.cast_unsigned(),
        length: u32::try_from(size_of::<T>()).unwrap_or(u32::MAX),
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`, which has that many; all of its pointers are null.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info)
}

/// A name of at most 15 bytes, as the kernel keeps names.
fn short_name(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().take(15).zip(name.bytes()) {
        *to = if from.is_ascii_alphanumeric() || from == b'_' || from == b'.' {
            from
        } else {
            b'_'
        };
    }
    short
}

fn long_name(short: &[u8; 16]) -> String {
    short
        .iter()
        .take_while(|byte| **byte != 0)
        .map(|byte| char::from(*byte))
        .collect()
}

//! Pins, and the few other calls that the kernel's side needs.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya_obj::generated::bpf_cmd;

use super::{SysError, bpf, bpf_fd};

/// The member of BPF_OBJ_PIN and BPF_OBJ_GET.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PinAttributes {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Pins an object at a path of a bpffs where nothing is yet.
fn pin(fd: BorrowedFd<'_>, path: &Path) -> Result<(), SysError> {
    let text = c_path(path)?;
    let mut attributes = PinAttributes {
        path: text.as_ptr() as u64,
        fd: fd.as_raw_fd().cast_unsigned(),
        flags: 0,
    };
    // SAFETY: `text` is a C string that outlives the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attributes) }
        .map_err(SysError::new("BPF_OBJ_PIN", path.display()))?;
    Ok(())
}

/// How the name begins under which a pin is made, before it takes its place. Only a process that ends between the two
/// leaves one. No pin of ours begins so.
pub const BESIDE: &str = ".new-";

/// Pins an object in place of what has this path, so that at every moment one of them is there.
pub(super) fn pin_over(fd: BorrowedFd<'_>, path: &Path) -> Result<(), SysError> {
    let mut name = OsString::from(BESIDE);
    name.push(path.file_name().unwrap_or_default());
    let beside = &path.with_file_name(name);
    remove(beside)?;
    pin(fd, beside)?;
    fs::rename(beside, path).map_err(SysError::new(
        "rename",
        format_args!("{} to {}", beside.display(), path.display()),
    ))
}

/// What an object is, as /proc/self/fd names its descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Map,
    Link,
}

/// Opens what is pinned at a path, which must be of this kind.
pub(super) fn open(path: &Path, kind: Kind) -> Result<OwnedFd, SysError> {
    let text = c_path(path)?;
    let mut attributes = PinAttributes {
        path: text.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: `text` is a C string that outlives the call, which answers with a descriptor.
    let fd = unsafe { bpf_fd(bpf_cmd::BPF_OBJ_GET, &mut attributes) }
        .map_err(SysError::new("BPF_OBJ_GET", path.display()))?;
    let expected = match kind {
        Kind::Map => "bpf-map",
        Kind::Link => "bpf-link",
    };
    let found = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        .map_err(SysError::new("readlink /proc/self/fd of", path.display()))?;
    // Kernels write `bpf_link` too.
    if !found.to_string_lossy().replace('_', "-").ends_with(expected) {
        let cause = io::Error::other(format!("it is {}, and a {expected} is expected", found.display()));
        return Err(SysError {
            call: "BPF_OBJ_GET",
            object: path.display().to_string(),
            cause,
        });
    }
    Ok(fd)
}

fn c_path(path: &Path) -> Result<CString, SysError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| SysError {
        call: "BPF_OBJ_GET",
        object: path.display().to_string(),
        cause: io::Error::new(io::ErrorKind::InvalidInput, error),
    })
}

/// Removes a pin; the object lives on while something else holds it. Nothing there is fine.
pub fn remove(path: &Path) -> Result<(), SysError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SysError {
            call: "unlink",
            object: path.display().to_string(),
            cause: error,
        }),
        _ => Ok(()),
    }
}

/// Whether a path lies on a mounted bpffs.
pub fn is_bpffs(path: &Path) -> Result<bool, SysError> {
    let stat =
        rustix::fs::statfs(path).map_err(|errno| SysError::new("statfs", path.display())(errno.into()))?;
    Ok(stat.f_type == libc::BPF_FS_MAGIC)
}

/// `CLOCK_MONOTONIC`, which `bpf_ktime_get_ns` reads in the kernel, in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

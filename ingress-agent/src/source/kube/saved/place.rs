//! Files that are replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` (linux/magic.h).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Whether what is written to a directory stays in memory: the file system is a tmpfs or a ramfs (`statfs(2)`).
pub(super) fn is_in_memory(directory: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(directory)?.f_type;
    // The kernel's type is signed on some machines and has 32 bits on others.
    Ok(u64::try_from(kind).is_ok_and(|kind| IN_MEMORY.contains(&(kind & 0xffff_ffff))))
}

/// Writes a file anew beside the old one and puts it in its place, so that there is always a whole one. Only its
/// owner may read it, or enter its directory where that is made for it.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The directory holds the name.
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

//! A file's text, or what there is instead.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::source::file::MAX_FILE_BYTES;

/// Why a file has no text.
pub(super) enum Unread {
    /// There is no such file.
    Gone,
    /// What was found instead.
    Failed(String),
}

/// A file's text.
pub(super) fn text_of(path: &Path) -> Result<String, Unread> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            Unread::Gone
        } else {
            Unread::Failed(format!("a file that cannot be read ({error})"))
        }
    };
    let mut text = Vec::new();
    // Opening a pipe that nobody writes to must not wait.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Unread::Failed("something that is no regular file".to_owned()));
    }
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MAX_FILE_BYTES) {
        return Err(Unread::Failed(format!("more than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(text)
        .map_err(|error| Unread::Failed(format!("text that is not UTF-8 ({})", error.utf8_error())))
}

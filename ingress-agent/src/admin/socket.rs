//! The admin's unix socket: the agent's user's alone from its first moment.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The socket's name in `--run-dir`.
pub const SOCKET: &str = "admin.sock";

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another agent answers at it.
    #[error("another agent answers at {}; give this one its own --run-dir", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel refused something.
    #[error("{call} {}: {cause}", path.display())]
    Io {
        /// The call.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// The socket's file; it is removed with this value.
#[derive(Debug)]
pub(super) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // It may have been removed already; then nothing is left to do.
        _ = fs::remove_file(&self.0);
    }
}

/// Binds `admin.sock`, mode 0600. What an agent that was killed left there is replaced.
pub(super) fn bind(run_dir: &Path) -> Result<(Bound, UnixListener), SocketError> {
    let failed = |call, path: &Path| {
        let path = path.to_owned();
        move |cause| SocketError::Io { call, path, cause }
    };
    fs::create_dir_all(run_dir).map_err(failed("mkdir", run_dir))?;
    let path = run_dir.join(SOCKET);
    if UnixStream::connect(&path).is_ok() {
        return Err(SocketError::Taken { path });
    }
    // Made beside its place and moved there, so that at no moment another user may connect.
    let made = run_dir.join(format!(".{SOCKET}.{}", std::process::id()));
    let listener = UnixListener::bind(&made).map_err(failed("bind", &made))?;
    let made = Bound(made);
    fs::set_permissions(&made.0, Permissions::from_mode(0o600)).map_err(failed("chmod", &made.0))?;
    fs::rename(&made.0, &path).map_err(failed("rename", &made.0))?;
    Ok((Bound(path), listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_users_alone_and_gone_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let (bound, listener) = bind(&run).unwrap();
        let path = run.join("admin.sock");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&run), Err(SocketError::Taken { .. })));
        // As after a kill: the file is there and nobody answers.
        drop(listener);
        let (again, _listener) = bind(&run).unwrap();
        std::mem::forget(bound);
        assert!(path.exists());
        drop(again);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_is_told() {
        let error = bind(Path::new("/dev/null/run")).unwrap_err();
        assert!(error.to_string().starts_with("mkdir /dev/null/run: "), "{error}");
    }
}

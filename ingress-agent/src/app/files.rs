//! How many files the process may open: a connection is one, its pod's another.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Takes what an administrator allows: the soft limit, often 1,024, is for programs that use select(2).
pub(super) fn take_all() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        warn!(%error, ?current, "setrlimit(RLIMIT_NOFILE): fewer connections can be served");
    }
}

//! Takes down what an agent left in the kernel: the opposite of a start, for the day the product goes.
//!
//! Announcements first, so that other nodes get what came here; then links, so that no packet meets half of what the programs need; then routes and neighbours; then the
//! pins. Refuses while an agent runs.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::lock::{Lock, LockError};
use super::netlink::{Netlink, NetlinkError};
use super::pins::Pins;
use super::sys::{self, Link, SysError};
use super::{announce, maps, neighbour, privilege, route};

/// What was taken down.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unloaded {
    /// The interfaces whose program is gone.
    pub interfaces: Vec<String>,
    /// The announcements that are withdrawn.
    pub announcements: BTreeSet<announce::Route>,
    /// The addresses whose local route is gone.
    pub addresses: Vec<IpAddr>,
}

/// Why not everything was taken down. It may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum UnloadError {
    /// The process may not do what is needed.
    #[error(transparent)]
    Privilege(#[from] privilege::PrivilegeError),
    /// There is nothing.
    #[error("nothing is pinned at {}; name the folder that `run` was given with --pin-dir", dir.display())]
    Nothing {
        /// The pin directory.
        dir: PathBuf,
    },
    /// An agent is running.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The network cannot be asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// Detaches the programs and removes the VIPs' routes, the managed neighbours and every pin. Must be called in a
/// tokio runtime, in the agent's network namespace.
///
/// # Errors
///
/// When nothing is there, an agent runs, or the kernel refuses something.
pub async fn unload(run_dir: &Path, pin_dir: &Path) -> Result<Unloaded, UnloadError> {
    privilege::check()?;
    let pins = Pins::at(pin_dir);
    if fs::symlink_metadata(pins.layout()).is_err() {
        return Err(UnloadError::Nothing {
            dir: pin_dir.to_owned(),
        });
    }
    fs::create_dir_all(run_dir).map_err(SysError::new("mkdir", run_dir.display()))?;
    let _lock = Lock::take(run_dir, pin_dir)?;

    let netlink = Netlink::connect()?;
    let announcements = announce::list(&netlink, None).await?;
    for route in &announcements {
        announce::remove(&netlink, *route).await?;
    }
    let interfaces = pins.linked_interfaces()?;
    for name in pins.list("links")? {
        let pin = pin_dir.join("links").join(&name);
        Link::open(&pin)?.detach()?;
        sys::remove(&pin)?;
    }
    let addresses = forget_network(&netlink).await?;
    for name in maps::name::ALL {
        sys::remove(&pins.map(name))?;
    }
    for directory in Pins::DIRECTORIES {
        for name in pins.list(directory)? {
            sys::remove(&pin_dir.join(directory).join(name))?;
        }
        remove_dir(&pin_dir.join(directory))?;
    }
    sys::remove(&pins.layout())?;
    remove_dir(pin_dir)?;
    Ok(Unloaded {
        interfaces,
        announcements,
        addresses,
    })
}

/// Removes the routes and neighbours that carry our protocol number.
async fn forget_network(netlink: &Netlink) -> Result<Vec<IpAddr>, NetlinkError> {
    let addresses: Vec<IpAddr> = route::list(netlink).await?.into_keys().collect();
    for address in &addresses {
        route::remove(netlink, *address).await?;
    }
    let present = neighbour::list(netlink).await?;
    neighbour::manage(netlink, &BTreeSet::new(), &present).await?;
    Ok(addresses)
}

fn remove_dir(path: &Path) -> Result<(), SysError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SysError::new("rmdir", path.display())(error))
        }
        _ => Ok(()),
    }
}

impl fmt::Display for Unloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for announce::Route { table, address } in &self.announcements {
            writeln!(
                f,
                "VIP address {address}: announcement removed from table {table}"
            )?;
        }
        for interface in &self.interfaces {
            writeln!(f, "interface {interface}: XDP program detached")?;
        }
        for address in &self.addresses {
            writeln!(f, "VIP address {address}: local route removed")?;
        }
        writeln!(
            f,
            "connections are no longer steered, and nothing of the agent is pinned any more"
        )
    }
}

//! A link between two machines: a veth pair whose frames XDP can trust.
//!
//! Both ends compute checksums in software: a frame with a checksum left to do (`CHECKSUM_PARTIAL`) would
//! be tunnelled with it and be lost. A node's peer end carries a program that passes every frame: without
//! one, veth drops what the other end sends by `XDP_TX`.

use std::ffi::c_char;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use rustix::net::{AddressFamily, SocketType};

use super::Namespace;
use super::passing;

/// One end of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub namespace: &'a Namespace,
    /// The interface's name.
    pub name: &'a str,
}

/// Makes a veth pair, both ends up, with software checksums.
pub(super) fn connect(a: End<'_>, b: End<'_>) -> Result<()> {
    a.namespace.ip(&format!(
        "link add {} mtu 1500 type veth peer name {} netns {} mtu 1500",
        a.name,
        b.name,
        b.namespace.name()
    ))?;
    for end in [a, b] {
        end.namespace.ip(&format!("link set {} up", end.name))?;
        checksum_in_software(end)?;
    }
    Ok(())
}

/// Attaches a program that passes everything, in driver mode. It stays until the descriptor is closed.
pub(super) fn pass_xdp(end: End<'_>) -> Result<OwnedFd> {
    end.namespace
        .run(|| passing::attach(index(end.name)?))
        .with_context(|| {
            format!(
                "attach the passing XDP program to {} in {}",
                end.name,
                end.namespace.name()
            )
        })
}

/// What `ethtool -K NAME tx off` does.
fn checksum_in_software(end: End<'_>) -> Result<()> {
    /// `ETHTOOL_STXCSUM` of linux/ethtool.h.
    const SET_TX_CHECKSUM: u32 = 0x17;
    /// `struct ethtool_value`.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    end.namespace
        .run(|| {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
            let mut value = Value {
                command: SET_TX_CHECKSUM,
                data: 0,
            };
            let mut request = libc::ifreq {
                ifr_name: interface_name(end.name),
                ifr_ifru: libc::__c_anonymous_ifr_ifru {
                    ifru_data: (&raw mut value).cast::<c_char>(),
                },
            };
            // SAFETY: `request` is a whole `ifreq` whose data pointer is `value`, the structure this
            // command reads; both outlive the call.
            let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
            if status < 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            Ok(())
        })
        .with_context(|| format!("ETHTOOL_STXCSUM off on {} in {}", end.name, end.namespace.name()))
}

/// The index of an interface of the calling thread's namespace.
fn index(name: &str) -> Result<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(&socket, name).with_context(|| format!("interface {name}"))
}

/// The name, cut to what the kernel takes and closed by a zero.
fn interface_name(name: &str) -> [c_char; libc::IFNAMSIZ] {
    let mut field = [0; libc::IFNAMSIZ];
    for (to, from) in field.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = from.cast_signed();
    }
    field
}

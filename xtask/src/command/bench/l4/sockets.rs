//! A network namespace with a real connection to a VIP in it, for the socket tests to find.
//!
//! The namespace has no name, so it ends with the process.

use std::{
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType};

use super::tables;

/// A listener, and one connection that it accepted.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) listener: TcpListener,
    client: SocketAddrV4,
    _connecting: OwnedFd,
    _accepted: TcpStream,
}

impl Sockets {
    /// Moves this thread, and all that it starts, into a new network namespace, and connects there.
    pub(super) fn in_a_namespace_of_our_own() -> Result<Self> {
        // SAFETY: the call takes no memory of ours; no other thread runs yet that could mind.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            let error = std::io::Error::last_os_error();
            return Err(error).context("unshare(CLONE_NEWNET): the bench needs root for a network namespace");
        }
        ip(&["link", "set", "lo", "up"])?;
        ip(&["address", "add", &format!("{}/32", tables::VIP_V4), "dev", "lo"])?;
        ip(&[
            "address",
            "add",
            &format!("{}/32", tables::CLIENT_V4.ip()),
            "dev",
            "lo",
        ])?;

        let address = SocketAddrV4::new(tables::VIP_V4, tables::KEPT_PORT);
        let listener = TcpListener::bind(address).with_context(|| format!("bind({address})"))?;
        let connecting =
            rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).context("socket")?;
        let client = SocketAddrV4::new(*tables::CLIENT_V4.ip(), 0);
        rustix::net::bind(&connecting, &client).with_context(|| format!("bind({client})"))?;
        rustix::net::connect(&connecting, &address).with_context(|| format!("connect({address})"))?;
        let (accepted, peer) = listener.accept().with_context(|| format!("accept({address})"))?;
        let SocketAddr::V4(client) = peer else {
            bail!("an IPv4 listener accepted {peer}")
        };
        Ok(Self {
            listener,
            client,
            _connecting: connecting,
            _accepted: accepted,
        })
    }

    /// Where the connection came from.
    pub(super) const fn client(&self) -> SocketAddrV4 {
        self.client
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip")
        .args(arguments)
        .status()
        .context("cannot start `ip` (package iproute2)")?;
    ensure!(
        status.success(),
        "`ip {}` ended with {status}",
        arguments.join(" ")
    );
    Ok(())
}

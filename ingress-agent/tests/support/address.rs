//! An address of this machine for pods.

use std::net::{IpAddr, UdpSocket};

/// The address that this machine would call others from; nothing is sent.
pub(crate) fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .connect("198.51.100.1:9")
        .expect("this test needs an IPv4 address that is not loopback, and a route");
    socket.local_addr().unwrap().ip()
}

//! A network namespace for one test, and real sockets in it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use ingress_common::Family;
use socket2::{Domain, Socket, Type};

use super::table::world::{Sockets, client, vip};

/// Runs a test in a thread with a network namespace of its own, in which the table's addresses are local.
pub(crate) fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        assert!(
            std::env::var_os("CI").is_none(),
            "this test needs root, and CI is set"
        );
        eprintln!("SKIPPED: this test needs root, for XDP and a network namespace");
        return;
    }
    let thread = std::thread::spawn(|| {
        // SAFETY: the namespace is this thread's alone, and no socket of the thread is older than it.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
        ip("link set lo up");
        for family in [Family::V4, Family::V6] {
            for address in [client(family), vip(family)] {
                let option = if address.is_ipv6() { "nodad" } else { "" };
                ip(&format!("address add {} dev lo {option}", address.ip()));
            }
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip")
        .args(arguments.split_whitespace())
        .status()
        .unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

/// The sockets that a case's connection meets, for both families.
#[derive(Debug)]
pub(crate) struct Connections {
    _listeners: Vec<TcpListener>,
    _streams: Vec<TcpStream>,
}

impl Connections {
    pub(crate) fn new(sockets: Sockets) -> Self {
        let families = [Family::V4, Family::V6];
        let listeners: Vec<TcpListener> = match sockets {
            Sockets::None => Vec::new(),
            Sockets::Listener | Sockets::Cookie | Sockets::Connection => families
                .map(|family| TcpListener::bind(vip(family)).unwrap())
                .into(),
        };
        let streams = match sockets {
            Sockets::Connection => families.map(|family| connect(client(family), vip(family))).into(),
            Sockets::None | Sockets::Listener | Sockets::Cookie => Vec::new(),
        };
        Self {
            _listeners: listeners,
            _streams: streams,
        }
    }
}

fn connect(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, None).unwrap();
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

//! Echo requests from the client, one after the other, and how many were lost.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::net::{AddressFamily, SocketType, ipproto};

use super::Client;

/// How long an answer may take before it counts as lost.
const ANSWER: Duration = Duration::from_millis(500);

/// What was sent and what came back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pings {
    /// Echo requests sent.
    pub sent: u32,
    /// Those that were not answered.
    pub lost: u32,
}

/// A running ping.
#[derive(Debug)]
pub struct Ping {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Pings>>,
}

impl Ping {
    /// Asks an address every `pace` until [`Ping::stop`].
    pub fn start(client: &Client, address: IpAddr, pace: Duration) -> Result<Self> {
        client
            .namespace()
            .sysctl("net/ipv4/ping_group_range", "0 2147483647")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = client.namespace().spawn(move || {
            let socket = socket(address).with_context(|| format!("ping socket to {address}"))?;
            let mut pings = Pings::default();
            while !stopped.load(Ordering::Relaxed) {
                let next = Instant::now() + pace;
                pings.sent += 1;
                if !ask(&socket, address, pings.sent)? {
                    pings.lost += 1;
                }
                sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(pings)
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the ping and gives its count.
    pub fn stop(self) -> Result<Pings> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(pings) => pings,
            Err(_) => bail!("the ping's thread panicked"),
        }
    }
}

/// The kernel's ping socket: it fills in the identifier and the checksum.
fn socket(address: IpAddr) -> Result<UdpSocket> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let socket = UdpSocket::from(rustix::net::socket(family, SocketType::DGRAM, Some(protocol))?);
    socket.connect(SocketAddr::new(address, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    Ok(socket)
}

/// Sends one request and waits for its answer.
fn ask(socket: &UdpSocket, address: IpAddr, number: u32) -> Result<bool> {
    /// Type, code, checksum and identifier, sequence: RFC 792 and RFC 4443, section 4.1.
    const HEADER: usize = 8;
    let request_type = if address.is_ipv4() { 8 } else { 128 };
    let mut request = vec![request_type, 0, 0, 0, 0, 0, 0, 0];
    request.extend(number.to_be_bytes());
    // A send is refused while the kernel remembers an error of an earlier one: that is a loss, too.
    if socket.send(&request).is_err() {
        return Ok(false);
    }
    let mut answer = [0; 64];
    loop {
        match socket.recv(&mut answer) {
            Ok(length) if answer.get(HEADER..length) == Some(&number.to_be_bytes()) => return Ok(true),
            // The answer to an earlier request that was given up.
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
    }
}

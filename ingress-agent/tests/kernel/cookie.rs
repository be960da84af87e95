//! A SYN cookie of the kernel's own.

use std::io::Read as _;
use std::net::TcpListener;

use ingress_common::Family;
use socket2::{Domain, Protocol, Socket, Type};

use super::table::frames::{ACK, SYN, Segment, poke};
use super::table::world::{client, vip};

/// The TCP header's place behind an IP header of a family.
fn header(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

/// Has a listener of the VIP send a SYN cookie to a client that has no socket, and returns the listener and the
/// packet that acknowledges the cookie.
pub(crate) fn acknowledged(family: Family) -> (TcpListener, Vec<u8>) {
    std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2").unwrap();
    let listener = TcpListener::bind(vip(family)).unwrap();
    let tcp = header(family);

    let from = client(family);
    let mut raw = Socket::new(Domain::for_address(from), Type::RAW, Some(Protocol::TCP)).unwrap();
    let [mut here, mut there] = [from, vip(family)];
    here.set_port(0);
    there.set_port(0);
    raw.bind(&here.into()).unwrap();
    raw.set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .unwrap();
    let syn = Segment::new(family, SYN).packet();
    raw.send_to(&syn[tcp..], &there.into()).unwrap();

    let mut answer = [0; 128];
    loop {
        let length = raw.read(&mut answer).unwrap();
        // A raw socket over IPv4 also gets the IP header.
        let answer = match family {
            Family::V4 => &answer[20..length],
            Family::V6 => &answer[..length],
        };
        if answer[13] == SYN | ACK {
            let cookie = u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]);
            let next = u32::from_be_bytes([syn[tcp + 4], syn[tcp + 5], syn[tcp + 6], syn[tcp + 7]]) + 1;
            let packet = Segment::new(family, ACK).packet();
            let packet = poke(&packet, tcp + 4, &next.to_be_bytes());
            return (
                listener,
                poke(&packet, tcp + 8, &cookie.wrapping_add(1).to_be_bytes()),
            );
        }
    }
}

/// The same packet with another acknowledgement: nobody's cookie.
pub(crate) fn forged(family: Family, packet: &[u8]) -> Vec<u8> {
    let last = header(family) + 11;
    poke(packet, last, &[packet[last] ^ 0x55])
}

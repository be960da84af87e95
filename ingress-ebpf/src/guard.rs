//! Strict checks of a packet for a VIP address: nothing that contradicts itself goes further.
//!
//! They come after the address was found to be ours. No other packet is ever judged by them.

use ingress_common::Reason;

use crate::cursor::{Cursor, View};
use crate::header::{IpHeader, TcpHeader, length_of, protocol};

/// A TCP segment that holds together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'p> {
    pub(crate) tcp: View<'p, TcpHeader>,
    /// Bytes from the TCP header to the packet's end.
    pub(crate) length: u32,
}

/// What a packet for a VIP address holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'p> {
    /// A TCP segment.
    Tcp(Segment<'p>),
    /// ICMP of the packet's own family.
    Icmp,
    /// Anything else.
    Other,
}

/// Checks the packet whose IP header has just been read from `cursor`, `room` bytes before the end of what
/// holds it.
#[inline(always)]
pub(crate) fn check<'p, H: IpHeader>(
    ip: View<'p, H>,
    cursor: &mut Cursor<'p>,
    room: u32,
) -> Result<Content<'p>, Reason> {
    let ip = ip.get();
    let length = ip.payload_length(room)?;
    match ip.protocol() {
        protocol::TCP => {
            let tcp: View<'_, TcpHeader> = cursor.take().ok_or(Reason::Truncated)?;
            check_tcp(&tcp.get(), length)?;
            Ok(Content::Tcp(Segment { tcp, length }))
        }
        proto if proto == H::ICMP => Ok(Content::Icmp),
        _ => Ok(Content::Other),
    }
}

/// RFC 9293 section 3.1 for the header's form; the combinations of control bits that no TCP sends.
#[inline(always)]
fn check_tcp(tcp: &TcpHeader, length: u32) -> Result<(), Reason> {
    const SIX: u8 =
        TcpHeader::FIN | TcpHeader::SYN | TcpHeader::RST | TcpHeader::PSH | TcpHeader::ACK | TcpHeader::URG;
    let header = tcp.length();
    let opens_and_ends =
        tcp.flags & TcpHeader::SYN != 0 && tcp.flags & (TcpHeader::FIN | TcpHeader::RST) != 0;
    let no_port = tcp.source.to_wire() == 0 || tcp.destination.to_wire() == 0;
    if header < u32::from(length_of::<TcpHeader>()) || opens_and_ends || tcp.flags & SIX == 0 || no_port {
        return Err(Reason::Malformed);
    }
    if header > length {
        return Err(Reason::Truncated);
    }
    Ok(())
}

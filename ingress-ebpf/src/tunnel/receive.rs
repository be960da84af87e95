//! A tunnel packet that arrives: whether it is one, whether it may be, and how it is taken off.

use ingress_common::{Be16, GueHeader, MAX_HOPS, Reason, Settings, TUNNEL_VERSION};

use crate::header::{EthHeader, IpHeader, Macs, UdpHeader, length_of, protocol};
use crate::ingress::Frame;
use crate::parse::Link;
use crate::select::Hops;
use crate::{Cursor, Packet, Tables, View};

/// What a tunnel packet says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnelled {
    /// Bytes of the outer headers, from the outer IP header to the inner one.
    pub(crate) overhead: u16,
    /// Bytes of the inner packet.
    pub(crate) room: u32,
    /// The inner packet's IP protocol number.
    pub(crate) protocol: u8,
    /// The outer source port, by which the flow is spread.
    pub(crate) port: Be16,
    /// Whom to ask next.
    pub(crate) hops: Hops,
}

/// Opens a tunnel packet; `Ok(None)` if it is none for this node. It is one if it is UDP from its start, to
/// the tunnel port of this node's own outer address; only then is it judged, and dropped if anything is wrong.
#[inline(always)]
pub(crate) fn open<H: IpHeader, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: Frame,
) -> Result<Option<Tunnelled>, Reason> {
    let mut cursor = packet.cursor();
    cursor.skip(frame.link.length).ok_or(Reason::NotVip)?;
    let outer: View<'_, H> = cursor.take().ok_or(Reason::NotVip)?;
    if outer.get().protocol() != protocol::UDP {
        return Ok(None);
    }
    let Some(settings) = tables.settings() else {
        return Ok(None);
    };
    let own = H::outer_address(settings);
    if settings.node == 0 || own.is_unset() || outer.get().destination() != own || !outer.get().starts() {
        return Ok(None);
    }
    let Some([source, destination]) = ports(outer.get(), &mut cursor) else {
        return Ok(None);
    };
    if destination != settings.tunnel_port {
        return Ok(None);
    }
    // A first fragment of a tunnel packet is as wrong as any other contradiction: nodes never fragment.
    let payload = outer
        .get()
        .payload_length(frame.room())
        .map_err(|_| Reason::Malformed)?;
    let [length, _checksum] = cursor.read::<[Be16; 2]>().ok_or(Reason::Truncated)?;
    let headers = u32::from(length_of::<UdpHeader>() + length_of::<GueHeader>());
    if u32::from(length.get()) != payload {
        return Err(Reason::Malformed);
    }
    if tables.peer(&outer.get().source()).is_none() {
        return Err(Reason::BadPeer);
    }
    let gue: View<'_, GueHeader> = cursor.take().ok_or(Reason::Truncated)?;
    if payload < headers {
        return Err(Reason::Truncated);
    }
    let gue = gue.get();
    judge(&gue, settings)?;
    Ok(Some(Tunnelled {
        overhead: length_of::<H>() + length_of::<UdpHeader>() + length_of::<GueHeader>(),
        room: payload - headers,
        protocol: gue.proto,
        port: source,
        hops: Hops::named(&gue.data),
    }))
}

/// The ports behind an outer header, even one with options: it has to be known whether the packet is the
/// tunnel's before its options can be held against it.
#[inline(always)]
fn ports<H: IpHeader>(outer: H, cursor: &mut Cursor<'_>) -> Option<[Be16; 2]> {
    let options = outer.options_length();
    if options != 0 {
        cursor.skip(options)?;
    }
    cursor.read()
}

#[inline(always)]
fn judge(gue: &GueHeader, settings: &Settings) -> Result<(), Reason> {
    let known = gue.version_hlen == GueHeader::VERSION_HLEN
        && gue.flags.to_wire() == 0
        && (gue.proto == protocol::IPV4 || gue.proto == protocol::IPV6)
        && gue.data.version == TUNNEL_VERSION
        && gue.data.hops_left <= MAX_HOPS;
    if !known {
        return Err(Reason::BadVersion);
    }
    let [present, previous] = settings.tunnel_keys;
    if gue.data.key != present && gue.data.key != previous {
        return Err(Reason::BadKey);
    }
    Ok(())
}

/// Takes the outer headers off: the Ethernet header, with its VLAN tags, moves up to the inner packet.
#[inline(always)]
pub(crate) fn strip<P: Packet>(
    packet: &mut P,
    link: Link,
    overhead: u16,
    ethertype: Be16,
) -> Result<(), Reason> {
    let tags = link.tags(&mut packet.cursor()).ok_or(Reason::Truncated)?;
    let macs: Macs = packet.cursor().read().ok_or(Reason::Truncated)?;
    packet.adjust_head(i32::from(overhead)).ok_or(Reason::Headroom)?;
    tags.write(&mut packet.cursor(), EthHeader { macs, ethertype })
        .ok_or(Reason::Truncated)
}

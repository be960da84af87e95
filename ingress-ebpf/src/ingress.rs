//! The walk of one frame: DESIGN's order of work, each step in its file.

use ingress_common::{Be16, PORT_TCP, Reason, Settings, VipAddress};

use crate::accept::accept;
use crate::guard::{self, Content, Segment};
use crate::header::{IpHeader, Ipv4Header, Ipv6Header, ethertype, protocol};
use crate::parse::Link;
use crate::port::{find, not_served};
use crate::select::{self, Hops};
use crate::tunnel::{self, Parcel, Tunnelled};
use crate::{Counter, Cursor, Packet, Tables};

/// What becomes of a frame. It is changed only if it is sent to another node ([`Reason::Forwarded`],
/// [`Reason::NextHop`]) or has come through the tunnel to stay ([`Reason::KeptTunnel`]), and perhaps if it is
/// dropped. Every frame is counted once under its reason.
#[inline(always)]
pub fn ingress<P: Packet, T: Tables>(packet: &mut P, tables: &T) -> Reason {
    let bytes = packet.length();
    let (Ok(reason) | Err(reason)) = walk(packet, tables, bytes);
    tables.count(Counter::Reason(reason), bytes);
    reason
}

/// `Err` is a reason that ends the walk early, whatever its verdict.
#[inline(always)]
fn walk<P: Packet, T: Tables>(packet: &mut P, tables: &T, bytes: u32) -> Result<Reason, Reason> {
    let mut cursor = packet.cursor();
    let link = Link::parse(&mut cursor).ok_or(Reason::NotVip)?;
    let frame = Frame {
        link,
        bytes,
        room: bytes.saturating_sub(u32::from(link.length)),
    };
    let tunnelled = match link.ethertype {
        ethertype::IPV4 => match arrive::<Ipv4Header, _>(tables, &mut cursor, frame)? {
            Arrival::Plain(ip, address) => {
                let content = guard::check(&ip, &mut cursor, frame.room)?;
                return enter(packet, tables, frame, &ip, address, content);
            }
            Arrival::Tunnel(tunnelled) => tunnelled,
        },
        ethertype::IPV6 => match arrive::<Ipv6Header, _>(tables, &mut cursor, frame)? {
            Arrival::Plain(ip, address) => {
                let content = guard::check(&ip, &mut cursor, frame.room)?;
                return enter(packet, tables, frame, &ip, address, content);
            }
            Arrival::Tunnel(tunnelled) => tunnelled,
        },
        _ => return Err(Reason::NotIp),
    };
    if tunnelled.protocol == protocol::IPV4 {
        let inner = inner::<Ipv4Header, _>(tables, &mut cursor, &tunnelled)?;
        emerge(packet, tables, frame, &tunnelled, &inner)
    } else {
        let inner = inner::<Ipv6Header, _>(tables, &mut cursor, &tunnelled)?;
        emerge(packet, tables, frame, &tunnelled, &inner)
    }
}

/// What is known of the frame as a whole.
#[derive(Clone, Copy)]
struct Frame {
    link: Link,
    /// Its length as it came in.
    bytes: u32,
    /// Bytes from its IP header on, padding included.
    room: u32,
}

/// An IP packet that is ours to judge.
enum Arrival<'t, H> {
    /// Its destination is a VIP address.
    Plain(H, &'t VipAddress),
    /// It is a peer's tunnel packet to this node.
    Tunnel(Tunnelled),
}

/// Finds out whether a packet is ours at all. One hash lookup for a plain packet, and nothing is judged
/// before it.
#[inline(always)]
fn arrive<'t, H: IpHeader, T: Tables>(
    tables: &'t T,
    cursor: &mut Cursor<'_>,
    frame: Frame,
) -> Result<Arrival<'t, H>, Reason> {
    let ip: H = cursor.read().ok_or(Reason::NotVip)?;
    if ip.protocol() == protocol::UDP
        && let Some(settings) = tables.settings()
        && let Some(tunnelled) = tunnel::open(tables, settings, &ip, cursor, frame.room)?
    {
        return Ok(Arrival::Tunnel(tunnelled));
    }
    let address = tables.vip_address(&ip.destination()).ok_or(Reason::NotVip)?;
    Ok(Arrival::Plain(ip, address))
}

/// A packet for a VIP address that enters the nodes here.
#[inline(always)]
fn enter<H: IpHeader, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: Frame,
    ip: &H,
    address: &VipAddress,
    content: Content,
) -> Result<Reason, Reason> {
    let segment = match content {
        Content::Tcp(segment) => segment,
        Content::Icmp => return Err(Reason::Icmp),
        Content::Other => return Err(not_served(address)),
    };
    let tcp = segment.tcp;
    let port = find(address, tcp.destination, PORT_TCP).ok_or(not_served(address))?;
    let settings = configured(tables)?;
    tables.count(Counter::Vip(port.vip), frame.bytes);

    let hash = ip.slot_hash(tcp.source, &settings.slot_key);
    let slot = tables.slot(port.pool, hash).ok_or(Reason::EmptyPool)?;
    let nobody = if slot.owner | slot.next1 | slot.next2 == 0 {
        Reason::EmptyPool
    } else {
        Reason::NoNode
    };
    let mut target = select::first(tables, port.vip, slot).ok_or(nobody)?;
    if target.number == settings.node {
        let hops = target.hops;
        if hops == Hops::default() || accept(tables, ip, &tcp, frame.link.length) {
            return Ok(Reason::Kept);
        }
        match select::next(tables, port.vip, settings.node, hops) {
            Some(next) => target = next,
            None => return Ok(Reason::Kept),
        }
    }
    let parcel = Parcel {
        ip: ip.next_hop().ok_or(Reason::Ttl)?,
        payload: segment.length,
        port: outer_port(hash),
        overhead: 0,
    };
    tunnel::send(packet, settings, frame.link, &target, &parcel)?;
    tables.count(Counter::Node(target.number), frame.bytes);
    Ok(Reason::Forwarded)
}

/// What a tunnel packet holds: a segment for a VIP.
struct Inner<H> {
    ip: H,
    segment: Segment,
    vip: u16,
}

/// Reads the inner packet. It must fill the tunnel packet exactly and be for a VIP: a peer sends nothing else.
#[inline(always)]
fn inner<H: IpHeader, T: Tables>(
    tables: &T,
    cursor: &mut Cursor<'_>,
    tunnelled: &Tunnelled,
) -> Result<Inner<H>, Reason> {
    let ip: H = cursor.read().ok_or(Reason::BadInner)?;
    let address = tables.vip_address(&ip.destination()).ok_or(Reason::BadInner)?;
    let Ok(Content::Tcp(segment)) = guard::check(&ip, cursor, tunnelled.room) else {
        return Err(Reason::BadInner);
    };
    if ip.total_length() != tunnelled.room {
        return Err(Reason::BadInner);
    }
    let vip = find(address, segment.tcp.destination, PORT_TCP)
        .ok_or(Reason::BadInner)?
        .vip;
    Ok(Inner { ip, segment, vip })
}

/// A packet that another node sent here.
#[inline(always)]
fn emerge<H: IpHeader, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: Frame,
    tunnelled: &Tunnelled,
    inner: &Inner<H>,
) -> Result<Reason, Reason> {
    let settings = configured(tables)?;
    tables.count(Counter::Vip(inner.vip), frame.bytes);
    let offset = frame.link.length + tunnelled.overhead;
    let kept = tunnelled.hops == Hops::default() || accept(tables, &inner.ip, &inner.segment.tcp, offset);
    let next = if kept {
        None
    } else {
        select::next(tables, inner.vip, settings.node, tunnelled.hops)
    };
    let Some(target) = next else {
        tunnel::strip(packet, frame.link, tunnelled.overhead, H::ETHERTYPE)?;
        return Ok(Reason::KeptTunnel);
    };
    let parcel = Parcel {
        ip: inner.ip,
        payload: inner.segment.length,
        port: tunnelled.port,
        overhead: tunnelled.overhead,
    };
    tunnel::send(packet, settings, frame.link, &target, &parcel)?;
    tables.count(Counter::Node(target.number), frame.bytes);
    Ok(Reason::NextHop)
}

/// The settings, once the agent has written them.
#[inline(always)]
fn configured<T: Tables>(tables: &T) -> Result<&Settings, Reason> {
    tables
        .settings()
        .filter(|settings| settings.node != 0)
        .ok_or(Reason::Unconfigured)
}

/// The outer source port of a flow: a constant for it, and different ones for different flows, so that
/// routers and receive queues spread them.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "any 14 bits will do, but for the slot's own"
)]
const fn outer_port(hash: u64) -> Be16 {
    Be16::new(0xc000 | hash as u16 & 0x3fff)
}

//! The walk of one frame: DESIGN's order of work, each step in its file.

use ingress_common::{Be16, PORT_TCP, Reason, Settings, Slot};

use crate::accept::accept;
use crate::guard::{self, Content};
use crate::header::{IpHeader, Ipv4Header, Ipv6Header, ethertype, protocol};
use crate::parse::Link;
use crate::port::{find, not_served};
use crate::select::{self, Hops};
use crate::tunnel::{self, Parcel, Tunnelled};
use crate::{Counter, Packet, Tables, View};

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
    let link = Link::parse(&mut packet.cursor()).ok_or(Reason::NotVip)?;
    let frame = Frame { link, bytes };
    let tunnelled = match link.ethertype {
        ethertype::IPV4 => match tunnel::open::<Ipv4Header, _, _>(packet, tables, frame)? {
            None => return enter::<Ipv4Header, _, _>(packet, tables, frame),
            Some(tunnelled) => tunnelled,
        },
        ethertype::IPV6 => match tunnel::open::<Ipv6Header, _, _>(packet, tables, frame)? {
            None => return enter::<Ipv6Header, _, _>(packet, tables, frame),
            Some(tunnelled) => tunnelled,
        },
        _ => return Err(Reason::NotIp),
    };
    if tunnelled.protocol == protocol::IPV4 {
        emerge::<Ipv4Header, _, _>(packet, tables, frame, &tunnelled)
    } else {
        emerge::<Ipv6Header, _, _>(packet, tables, frame, &tunnelled)
    }
}

/// What is known of the frame as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) link: Link,
    /// Its length as it came in.
    pub(crate) bytes: u32,
}

impl Frame {
    /// Bytes from its IP header on, padding included.
    #[inline(always)]
    pub(crate) fn room(self) -> u32 {
        // The link layer has been read from the frame, so it is not longer.
        self.bytes.wrapping_sub(u32::from(self.link.length))
    }
}

/// A packet that enters the nodes here, if it is for a VIP address: one hash lookup, and nothing is judged
/// before it.
#[inline(always)]
fn enter<H: IpHeader, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: Frame,
) -> Result<Reason, Reason> {
    let mut cursor = packet.cursor();
    cursor.skip(frame.link.length).ok_or(Reason::NotVip)?;
    let ip: View<'_, H> = cursor.take().ok_or(Reason::NotVip)?;
    let address = tables
        .vip_address(&ip.get().destination())
        .ok_or(Reason::NotVip)?;
    let segment = match guard::check(ip, &mut cursor, frame.room())? {
        Content::Tcp(segment) => segment,
        Content::Icmp => return Err(Reason::Icmp),
        Content::Other => return Err(not_served(address)),
    };
    let tcp = segment.tcp;
    let port = find(address, tcp.get().destination, PORT_TCP).ok_or(not_served(address))?;
    let settings = configured(tables)?;
    tables.count(Counter::Vip(port.vip), frame.bytes);

    let hash = ip.get().slot_hash(tcp.get().source, &settings.slot_key);
    let slot = tables.slot(port.pool, hash).ok_or(Reason::EmptyPool)?;
    let mut target = select::first(tables, port.vip, slot).ok_or_else(|| nobody(slot))?;
    if target.number == settings.node {
        let hops = target.hops;
        if hops == Hops::default() || accept(tables, ip, tcp, frame.link.length) {
            return Ok(Reason::Kept);
        }
        match select::next(tables, port.vip, settings.node, hops) {
            Some(next) => target = next,
            None => return Ok(Reason::Kept),
        }
    }
    if ip.get().expires() {
        return Err(Reason::Ttl);
    }
    let parcel = Parcel {
        ip: ip.get(),
        payload: segment.length,
        port: outer_port(hash),
        overhead: 0,
    };
    tunnel::send(packet, settings, frame.link, &target, &parcel)?;
    tables.count(Counter::Node(target.number), frame.bytes);
    Ok(Reason::Forwarded)
}

/// A packet that another node sent here. What it holds must fill it exactly and be a segment for a VIP: a peer
/// sends nothing else.
#[inline(always)]
fn emerge<H: IpHeader, P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    frame: Frame,
    tunnelled: &Tunnelled,
) -> Result<Reason, Reason> {
    let offset = frame.link.length + tunnelled.overhead;
    let mut cursor = packet.cursor();
    cursor.skip(offset).ok_or(Reason::Truncated)?;
    let ip: View<'_, H> = cursor.take().ok_or(Reason::BadInner)?;
    let address = tables
        .vip_address(&ip.get().destination())
        .ok_or(Reason::BadInner)?;
    let Ok(Content::Tcp(segment)) = guard::check(ip, &mut cursor, tunnelled.room) else {
        return Err(Reason::BadInner);
    };
    if ip.get().total_length() != tunnelled.room {
        return Err(Reason::BadInner);
    }
    let tcp = segment.tcp;
    let port = find(address, tcp.get().destination, PORT_TCP).ok_or(Reason::BadInner)?;
    let settings = configured(tables)?;
    tables.count(Counter::Vip(port.vip), frame.bytes);

    let kept = tunnelled.hops == Hops::default() || accept(tables, ip, tcp, offset);
    let next = if kept {
        None
    } else {
        select::next(tables, port.vip, settings.node, tunnelled.hops)
    };
    let Some(target) = next else {
        tunnel::strip(packet, frame.link, tunnelled.overhead, H::ETHERTYPE)?;
        return Ok(Reason::KeptTunnel);
    };
    let parcel = Parcel {
        ip: ip.get(),
        payload: segment.length,
        port: tunnelled.port,
        overhead: tunnelled.overhead,
    };
    tunnel::send(packet, settings, frame.link, &target, &parcel)?;
    tables.count(Counter::Node(target.number), frame.bytes);
    Ok(Reason::NextHop)
}

/// Why a slot leads to no node.
#[inline(always)]
const fn nobody(slot: Slot) -> Reason {
    if slot.owner | slot.next1 | slot.next2 == 0 {
        Reason::EmptyPool
    } else {
        Reason::NoNode
    }
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

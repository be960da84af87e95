//! Tunnel packets that are none: forged, damaged or of another make. Not one is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ingress_common::{Family, Reason, Settings};

use super::Case;
use super::frames::{ACK, Gue, Outer, SYN, Segment, ethernet, poke};
use super::world::{OLD_KEY, PEER_2, PEER_3, Sockets, World, vip};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for peer in [IpAddr::V4(PEER_2), IpAddr::V6(PEER_3)] {
        cases.extend(outer(peer));
        cases.extend(form(peer));
        for family in [Family::V4, Family::V6] {
            cases.extend(inner(peer, family));
        }
        cases.extend(cut(peer));
    }
    cases
}

fn header(peer: IpAddr) -> usize {
    if peer.is_ipv4() { 20 } else { 40 }
}

fn outer(peer: IpAddr) -> Vec<Case> {
    let world = &World::new();
    let packet = Segment::new(Family::V4, SYN).packet();
    let good = Outer::to_us(peer, Family::V4, 2, [3, 4]);
    let frame = &ethernet(&[], &good.around(&packet));
    let udp = 14 + header(peer);
    let drops =
        |name: &str, frame: &[u8], reason| Case::drops(format!("from {peer}: {name}"), world, frame, reason);
    let stranger: IpAddr = if peer.is_ipv4() { "10.9.9.9" } else { "fd00::99" }
        .parse()
        .unwrap();
    let forged = Outer {
        source: stranger,
        ..good
    };
    let mut cases = vec![
        drops(
            "not a peer",
            &ethernet(&[], &forged.around(&packet)),
            Reason::BadPeer,
        ),
        drops(
            "UDP length too long",
            &poke(frame, udp + 4, &[0xff, 0xff]),
            Reason::Malformed,
        ),
        drops(
            "UDP length too short",
            &poke(frame, udp + 4, &[0, 20]),
            Reason::Malformed,
        ),
        drops("packet cut off", &frame[..frame.len() - 1], Reason::Malformed),
        Case::drops(
            format!("from {peer}: no tunnel keys are empty ones"),
            &World {
                settings: Settings {
                    tunnel_keys: [Default::default(); 2],
                    ..world.settings
                },
                ..world.clone()
            },
            frame,
            Reason::BadKey,
        ),
    ];
    if peer.is_ipv4() {
        let options = [&poke(&frame[..34], 14, &[0x46])[..], &[1, 1, 1, 1], &frame[34..]].concat();
        let options = poke(
            &options,
            16,
            &u16::try_from(options.len() - 14).unwrap().to_be_bytes(),
        );
        cases.extend([
            drops("outer options", &options, Reason::Malformed),
            drops(
                "outer first fragment",
                &poke(frame, 20, &[0x20, 0]),
                Reason::Malformed,
            ),
            drops(
                "outer length beyond the frame",
                &poke(frame, 16, &[0xff, 0xff]),
                Reason::Malformed,
            ),
            drops("outer version 5", &poke(frame, 14, &[0x55]), Reason::Malformed),
        ]);
    }
    cases
}

fn form(peer: IpAddr) -> Vec<Case> {
    let world = &World::new();
    let segment = Segment::new(Family::V4, SYN);
    let with = |change: &dyn Fn(&mut Gue)| {
        let mut outer = Outer::to_us(peer, Family::V4, 2, [3, 4]);
        change(&mut outer.gue);
        ethernet(&[], &outer.around(&segment.packet()))
    };
    let drops = |name: &str, reason, change: &dyn Fn(&mut Gue)| {
        Case::drops(format!("from {peer}: {name}"), world, &with(change), reason)
    };
    vec![
        drops("wrong key", Reason::BadKey, &|gue| gue.key += 1),
        drops("no key", Reason::BadKey, &|gue| gue.key = 0),
        drops("unknown version", Reason::BadVersion, &|gue| gue.version = 2),
        drops("version 0", Reason::BadVersion, &|gue| gue.version = 0),
        drops("GUE version 1", Reason::BadVersion, &|gue| gue.form = 0x43),
        drops("GUE control message", Reason::BadVersion, &|gue| gue.form = 0x23),
        drops("GUE header of another length", Reason::BadVersion, &|gue| {
            gue.form = 4
        }),
        drops("GUE flags", Reason::BadVersion, &|gue| gue.flags = 0x8000),
        drops("255 hops", Reason::BadVersion, &|gue| gue.hops_left = 255),
        drops("3 hops", Reason::BadVersion, &|gue| gue.hops_left = 3),
        drops("neither IP inside", Reason::BadVersion, &|gue| gue.proto = 47),
        drops("UDP inside: GUE in GUE", Reason::BadVersion, &|gue| {
            gue.proto = 17
        }),
        Case::emerges(
            format!("from {peer}: the key before"),
            world,
            &with(&|gue| gue.key = OLD_KEY),
            segment.frame(),
        ),
        Case::emerges(
            format!("from {peer}: another generation"),
            world,
            &with(&|gue| gue.generation = 0),
            segment.frame(),
        ),
    ]
}

fn inner(peer: IpAddr, family: Family) -> Vec<Case> {
    let world = &World::new().sockets(Sockets::Connection);
    let outer = &Outer::to_us(peer, family, 2, [3, 4]);
    let segment = Segment {
        payload: 10,
        ..Segment::new(family, ACK)
    };
    let packet = &segment.packet();
    let ip = packet.len() - 30;
    let with = |inner: &[u8]| ethernet(&[], &outer.around(inner));
    let drops = |name: &str, inner: &[u8]| {
        Case::drops(
            format!("{family:?} from {peer}: {name}"),
            world,
            &with(inner),
            Reason::BadInner,
        )
    };
    let to = |to: SocketAddr| {
        Segment {
            to,
            ..segment.clone()
        }
        .packet()
    };
    let stranger = if family == Family::V4 {
        "203.0.113.1:443"
    } else {
        "[2001:db8::99]:443"
    };
    let (proto, icmp, version) = if family == Family::V4 {
        (9, 1, 0x46)
    } else {
        (6, 58, 0x45)
    };
    let nested = Outer::to_us(peer, family, 2, [3, 4]).around(packet);
    let nested_in = Outer {
        gue: Gue::new(if peer.is_ipv4() { Family::V4 } else { Family::V6 }, 2, [3, 4]),
        ..outer.clone()
    };
    let mut cases = vec![
        drops("inner destination is no VIP", &to(stranger.parse().unwrap())),
        drops(
            "inner port is not served",
            &to(SocketAddr::new(vip(family).ip(), 8080)),
        ),
        drops("inner ICMP", &poke(packet, proto, &[icmp])),
        drops("inner UDP", &poke(packet, proto, &[17])),
        drops("inner of another version", &poke(packet, 0, &[version])),
        drops("inner SYN and FIN", &poke(packet, ip + 13, &[3])),
        drops(
            "inner shorter than the tunnel packet",
            &[&packet[..], &[0]].concat(),
        ),
        drops("inner longer than the tunnel packet", &packet[..packet.len() - 1]),
        drops("inner header only", &packet[..ip]),
        drops("nothing inside", &[]),
        Case::drops(
            format!("{family:?} from {peer}: a tunnel packet inside"),
            world,
            &ethernet(&[], &nested_in.around(&nested)),
            Reason::BadInner,
        ),
    ];
    if family == Family::V4 {
        cases.push(drops("inner fragment", &poke(packet, 6, &[0x20, 0])));
        let own = Segment {
            to: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 22),
            ..segment.clone()
        };
        cases.push(drops("inner destination is this node", &own.packet()));
    } else {
        cases.push(drops("inner fragment", &poke(packet, 6, &[44])));
    }
    cases
}

/// A tunnel packet cut at every byte: passed while it is not known to be one, dropped after.
fn cut(peer: IpAddr) -> Vec<Case> {
    let world = &World::new();
    let frame = ethernet(
        &[],
        &Outer::to_us(peer, Family::V4, 2, [3, 4]).around(&Segment::new(Family::V4, SYN).packet()),
    );
    let known = 14 + header(peer) + 4;
    (14..frame.len())
        .map(|length| {
            let name = format!("from {peer}, cut to {length}");
            if length < known {
                Case::passes(name, world, &frame[..length], Reason::NotVip)
            } else {
                Case::drops(name, world, &frame[..length], Reason::Malformed)
            }
        })
        .collect()
}

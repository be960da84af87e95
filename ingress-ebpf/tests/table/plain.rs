//! What is not ours passes, whatever is wrong with it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ingress_common::{Family, Reason, Settings};

use super::Case;
use super::frames::{ACK, Gue, Outer, SYN, Segment, ethernet, poke};
use super::world::{PEER_2, PEER_3, World};

const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

pub(crate) fn cases() -> Vec<Case> {
    let world = &World::new();
    let passes = |name: &str, frame: &[u8], reason| Case::passes(name, world, frame, reason);
    let stranger = Segment {
        to: SocketAddr::new(STRANGER, 443),
        ..Segment::new(Family::V4, ACK)
    };
    let stranger_v6 = Segment {
        to: "[2001:db8::99]:443".parse().unwrap(),
        ..Segment::new(Family::V6, ACK)
    };
    let frame = &stranger.frame();
    let arp = &poke(&ethernet(&[], &[0; 46]), 12, &[0x08, 0x06]);
    let mut cases = vec![
        passes("ARP", arp, Reason::NotIp),
        passes(
            "three VLAN tags",
            &ethernet(&[0x88a8, 0x8100, 0x8100], &stranger.packet()),
            Reason::NotIp,
        ),
        passes("IPv4 to a stranger", frame, Reason::NotVip),
        passes("IPv6 to a stranger", &stranger_v6.frame(), Reason::NotVip),
        passes(
            "one VLAN tag, to a stranger",
            &ethernet(&[0x8100], &stranger.packet()),
            Reason::NotVip,
        ),
        passes(
            "two VLAN tags, to a stranger",
            &ethernet(&[0x88a8, 0x8100], &stranger.packet()),
            Reason::NotVip,
        ),
        passes(
            "stranger: IPv4 options",
            &poke(frame, 14, &[0x4f]),
            Reason::NotVip,
        ),
        passes(
            "stranger: IPv4 header too short",
            &poke(frame, 14, &[0x41]),
            Reason::NotVip,
        ),
        passes("stranger: version 5", &poke(frame, 14, &[0x55]), Reason::NotVip),
        passes(
            "stranger: total length beyond the frame",
            &poke(frame, 16, &[0xff, 0xff]),
            Reason::NotVip,
        ),
        passes(
            "stranger: first fragment",
            &poke(frame, 20, &[0x20, 0]),
            Reason::NotVip,
        ),
        passes(
            "stranger: last fragment",
            &poke(frame, 20, &[0, 9]),
            Reason::NotVip,
        ),
        passes("stranger: TTL 0", &poke(frame, 22, &[0]), Reason::NotVip),
        passes("stranger: SYN and FIN", &poke(frame, 47, &[3]), Reason::NotVip),
        passes(
            "stranger: port 0",
            &poke(frame, 34, &[0, 0, 0, 0]),
            Reason::NotVip,
        ),
        passes(
            "stranger: IPv6 fragment",
            &poke(&stranger_v6.frame(), 20, &[44]),
            Reason::NotVip,
        ),
        passes(
            "stranger: IPv6 payload beyond the frame",
            &poke(&stranger_v6.frame(), 18, &[0xff; 2]),
            Reason::NotVip,
        ),
        passes(
            "neighbour solicitation to a VIP's multicast group",
            &poke(&poke(&stranger_v6.frame(), 20, &[58, 255]), 38, &solicited_node()),
            Reason::NotVip,
        ),
    ];
    cases.extend(near_tunnel(world));
    let unconfigured = &World {
        settings: Settings::default(),
        ..World::new()
    };
    for family in [Family::V4, Family::V6] {
        let frame = Segment::new(family, SYN).frame();
        cases.push(Case::passes(
            format!("{family:?}: not configured"),
            unconfigured,
            &frame,
            Reason::Unconfigured,
        ));
    }
    for (name, ip) in [("v4", stranger.packet()), ("v6", stranger_v6.packet())] {
        for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
            let frame = ethernet(tags, &ip);
            for length in 0..frame.len() {
                let name = format!("stranger {name} with {} tags, cut to {length}", tags.len());
                let case = Case::passes(name, world, &frame[..length], Reason::NotVip);
                cases.push(if length < 14 {
                    case.host_only("TEST_RUN takes no frame below 14 bytes")
                } else {
                    case
                });
            }
        }
    }
    cases
}

/// The multicast group that neighbours ask for `2001:db8::10` (RFC 4291 section 2.7.1).
fn solicited_node() -> [u8; 16] {
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x10]
}

/// What looks like a tunnel packet but is none of this node's.
fn near_tunnel(world: &World) -> Vec<Case> {
    let inner = Segment::new(Family::V4, ACK).packet();
    let outer = Outer::to_us(IpAddr::V4(PEER_2), Family::V4, 2, [3, 4]);
    let ours = ethernet(&[], &outer.around(&inner));
    let elsewhere = Outer {
        destination: IpAddr::V4(PEER_2),
        ..outer.clone()
    };
    let other_port = Outer {
        ports: (1, 53),
        ..outer
    };
    let v6 = Outer::to_us(IpAddr::V6(PEER_3), Family::V4, 2, [3, 4]);
    let other_port_v6 = Outer {
        ports: (1, 53),
        ..v6.clone()
    };
    let no_v6 = &World {
        settings: Settings {
            outer_v6: Default::default(),
            ..world.settings
        },
        ..world.clone()
    };
    let unset = Outer {
        destination: "::".parse().unwrap(),
        gue: Gue::new(Family::V4, 9, [0, 0]),
        ..v6
    };
    let passes = |name: &str, frame: &[u8]| Case::passes(name, world, frame, Reason::NotVip);
    vec![
        passes(
            "tunnel packet for another node",
            &ethernet(&[], &elsewhere.around(&inner)),
        ),
        passes(
            "UDP to this node, another port",
            &ethernet(&[], &other_port.around(&inner)),
        ),
        passes(
            "UDP over IPv6 to this node, another port",
            &ethernet(&[], &other_port_v6.around(&inner)),
        ),
        passes("TCP to this node's tunnel port", &poke(&ours, 23, &[6])),
        passes("a later fragment to this node", &poke(&ours, 20, &[0, 100])),
        Case::passes(
            "UDP to no address where none is ours",
            no_v6,
            &ethernet(&[], &unset.around(&inner)),
            Reason::NotVip,
        ),
    ]
}

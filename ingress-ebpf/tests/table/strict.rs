//! What is for a VIP address is held to the rules.

use std::net::SocketAddr;

use ingress_common::{Family, Reason};

use super::Case;
use super::frames::{ACK, FIN, RST, SYN, Segment, ethernet, poke};
use super::world::{LENIENT, World, vip};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [Family::V4, Family::V6] {
        cases.extend(headers(family));
        cases.extend(ports(family));
        cases.extend(cut(family));
    }
    cases.extend(other_protocols());
    cases
}

fn headers(family: Family) -> Vec<Case> {
    let world = &World::new();
    let frame = &Segment {
        payload: 10,
        ..Segment::new(family, ACK)
    }
    .frame();
    let drops =
        |name: &str, frame: &[u8], reason| Case::drops(format!("{family:?}: {name}"), world, frame, reason);
    let tcp = frame.len() - 30;
    let (wrong, length, short): (&[u8], usize, &[u8]) = match family {
        Family::V4 => (&[0x46], 16, &[0, 19]),
        Family::V6 => (&[0x45], 18, &[0, 19]),
    };
    let beyond = (u16::try_from(frame.len()).unwrap() - 13).to_be_bytes();
    let mut cases = vec![
        drops(
            "another version, or options",
            &poke(frame, 14, wrong),
            Reason::Malformed,
        ),
        drops(
            "length beyond the frame",
            &poke(frame, length, &beyond),
            Reason::Malformed,
        ),
        drops(
            "data offset 4",
            &poke(frame, tcp + 12, &[0x40]),
            Reason::Malformed,
        ),
        drops(
            "data offset beyond the packet",
            &poke(frame, tcp + 12, &[0xf0]),
            Reason::Truncated,
        ),
        drops(
            "SYN and FIN",
            &poke(frame, tcp + 13, &[SYN | FIN]),
            Reason::Malformed,
        ),
        drops(
            "SYN and RST",
            &poke(frame, tcp + 13, &[SYN | RST]),
            Reason::Malformed,
        ),
        drops(
            "SYN, ACK and FIN",
            &poke(frame, tcp + 13, &[SYN | ACK | FIN]),
            Reason::Malformed,
        ),
        drops("no flags", &poke(frame, tcp + 13, &[0]), Reason::Malformed),
        drops(
            "no flags but congestion's",
            &poke(frame, tcp + 13, &[0xc0]),
            Reason::Malformed,
        ),
        drops("from port 0", &poke(frame, tcp, &[0, 0]), Reason::Malformed),
        drops("to port 0", &poke(frame, tcp + 2, &[0, 0]), Reason::Malformed),
        drops(
            "length within the IP header",
            &poke(frame, length, short),
            match family {
                Family::V4 => Reason::Malformed,
                Family::V6 => Reason::Truncated,
            },
        ),
    ];
    cases.extend(match family {
        Family::V4 => vec![
            drops(
                "header of four words",
                &poke(frame, 14, &[0x44]),
                Reason::Malformed,
            ),
            drops("length 0", &poke(frame, 16, &[0, 0]), Reason::Malformed),
            drops(
                "length within the TCP header",
                &poke(frame, 16, &[0, 39]),
                Reason::Truncated,
            ),
            drops("first fragment", &poke(frame, 20, &[0x20, 0]), Reason::Fragment),
            drops("later fragment", &poke(frame, 20, &[0x20, 7]), Reason::Fragment),
            drops("last fragment", &poke(frame, 20, &[0, 7]), Reason::Fragment),
        ],
        Family::V6 => vec![
            drops("fragment header", &poke(frame, 20, &[44]), Reason::Fragment),
            drops(
                "hop-by-hop options",
                &poke(frame, 20, &[0]),
                Reason::ExtensionHeader,
            ),
            drops("routing header", &poke(frame, 20, &[43]), Reason::ExtensionHeader),
            drops(
                "authentication header",
                &poke(frame, 20, &[51]),
                Reason::ExtensionHeader,
            ),
            drops(
                "destination options",
                &poke(frame, 20, &[60]),
                Reason::ExtensionHeader,
            ),
            drops(
                "mobility header",
                &poke(frame, 20, &[135]),
                Reason::ExtensionHeader,
            ),
        ],
    });
    cases
}

fn ports(family: Family) -> Vec<Case> {
    let world = &World::new();
    let to = |address, port| Segment {
        to: SocketAddr::new(address, port),
        ..Segment::new(family, SYN)
    };
    let mut cases = vec![Case::drops(
        format!("{family:?}: port that is not served"),
        world,
        &to(vip(family).ip(), 8080).frame(),
        Reason::NoPort,
    )];
    if family == Family::V4 {
        let frame = to(LENIENT, 8080).frame();
        cases.push(Case::passes(
            "port that is not served, passed",
            world,
            &frame,
            Reason::PortPassed,
        ));
        let frame = to(vip(family).ip(), 81).frame();
        cases.push(Case::drops("pool of nobody", world, &frame, Reason::EmptyPool));
        let frame = to(vip(family).ip(), 82).frame();
        cases.push(Case::drops(
            "pool without a table",
            world,
            &frame,
            Reason::EmptyPool,
        ));
    }
    cases
}

/// A segment for a VIP, cut at every byte: passed while it is not known to be one, dropped after.
fn cut(family: Family) -> Vec<Case> {
    let world = &World::new();
    let mut cases = Vec::new();
    for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
        let frame = ethernet(tags, &Segment::new(family, SYN).packet());
        let known = frame.len() - 20;
        for length in 0..frame.len() {
            let name = format!("{family:?}: with {} tags, cut to {length}", tags.len());
            let cut = &frame[..length];
            cases.push(match length {
                0..14 => Case::passes(name, world, cut, Reason::NotVip)
                    .host_only("TEST_RUN takes no frame below 14 bytes"),
                _ if length < known => Case::passes(name, world, cut, Reason::NotVip),
                _ => Case::drops(name, world, cut, Reason::Malformed),
            });
        }
    }
    cases
}

fn other_protocols() -> Vec<Case> {
    let world = &World::new();
    let v4 = &Segment::new(Family::V4, ACK).frame();
    let v6 = &Segment::new(Family::V6, ACK).frame();
    let lenient = &Segment {
        to: SocketAddr::new(LENIENT, 443),
        ..Segment::new(Family::V4, ACK)
    }
    .frame();
    vec![
        Case::passes("ICMP to a VIP", world, &poke(v4, 23, &[1]), Reason::Icmp),
        Case::passes("ICMPv6 to a VIP", world, &poke(v6, 20, &[58]), Reason::Icmp),
        Case::drops("ICMPv6 over IPv4", world, &poke(v4, 23, &[58]), Reason::NoPort),
        Case::drops("ICMP over IPv6", world, &poke(v6, 20, &[1]), Reason::NoPort),
        Case::drops("UDP to a VIP", world, &poke(v4, 23, &[17]), Reason::NoPort),
        Case::drops(
            "UDP over IPv6 to a VIP",
            world,
            &poke(v6, 20, &[17]),
            Reason::NoPort,
        ),
        Case::drops("SCTP to a VIP", world, &poke(v4, 23, &[132]), Reason::NoPort),
        Case::drops("no next header", world, &poke(v6, 20, &[59]), Reason::NoPort),
        Case::passes(
            "UDP to a VIP that passes",
            world,
            &poke(lenient, 23, &[17]),
            Reason::PortPassed,
        ),
    ]
}

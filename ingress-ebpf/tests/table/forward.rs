//! What belongs to another node is sent to it.

use std::net::IpAddr;

use ingress_common::{BackendState, Family, NodeState, Reason};

use super::Case;
use super::frames::{ACK, Outer, RST, SYN, Segment, ethernet, onward, outer_port};
use super::world::{IFINDEX, PEER_2, PEER_3, PEER_4, World};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [Family::V4, Family::V6] {
        cases.extend(whole(family));
        cases.extend(choice(family));
        cases.extend(sizes(family));
        cases.extend(lives(family));
    }
    cases
}

/// The address that a node of the table's world has.
pub(crate) fn address(node: u16) -> IpAddr {
    match node {
        2 => IpAddr::V4(PEER_2),
        3 => IpAddr::V6(PEER_3),
        4 => IpAddr::V4(PEER_4),
        _ => panic!("node {node} is no peer"),
    }
}

/// `segment`, as it leaves for a node with these to ask after it.
fn sent(tags: &[u16], segment: &Segment, node: u16, hops_left: u8, next: [u16; 2]) -> Vec<u8> {
    let outer = Outer {
        traffic_class: segment.traffic_class & 0xfc,
        ..Outer::from_us(
            address(node),
            outer_port(segment.from),
            segment.family(),
            hops_left,
            next,
        )
    };
    onward(tags, node, &outer.around(&segment.hop().packet()))
}

fn whole(family: Family) -> Vec<Case> {
    let mut cases = Vec::new();
    let segments = [
        ("SYN", Segment::new(family, SYN)),
        ("ACK", Segment::new(family, ACK)),
        ("RST", Segment::new(family, RST)),
        (
            "ECN and DSCP",
            Segment {
                traffic_class: 0xbb,
                ..Segment::new(family, ACK)
            },
        ),
        (
            "even payload",
            Segment {
                payload: 100,
                ..Segment::new(family, ACK)
            },
        ),
        (
            "odd payload",
            Segment {
                payload: 101,
                ..Segment::new(family, ACK)
            },
        ),
    ];
    for (name, segment) in segments {
        for (node, world) in [(2, World::slot(2, 3, 4)), (3, World::slot(3, 2, 4))] {
            let next = [5 - node, 4];
            for tags in [&[][..], &[0x8100], &[0x88a8, 0x8100]] {
                let name = format!("{family:?}: {name} with {} tags to node {node}", tags.len());
                let frame = ethernet(tags, &segment.packet());
                let output = sent(tags, &segment, node, 2, next);
                cases.push(Case::sends(name, &world, &frame, Reason::Forwarded, node, output));
            }
        }
    }
    // What an Ethernet frame is padded with is not part of the packet and no part of its checksums.
    let segment = Segment::new(family, ACK);
    let padded = [segment.frame(), vec![0xee; 6]].concat();
    for node in [2, 3] {
        let output = [sent(&[], &segment, node, 0, [0, 0]), vec![0xee; 6]].concat();
        let name = format!("{family:?}: padded frame to node {node}");
        cases.push(Case::sends(
            name,
            &World::slot(node, 0, 0),
            &padded,
            Reason::Forwarded,
            node,
            output,
        ));
    }
    cases
}

/// Which node of a slot.
fn choice(family: Family) -> Vec<Case> {
    let segment = Segment::new(family, ACK);
    let frame = &segment.frame();
    let sends = |name: &str, world: &World, node, next: [u16; 2]| {
        let hops_left = next.iter().filter(|next| **next != 0).count().try_into().unwrap();
        let output = sent(&[], &segment, node, hops_left, next);
        Case::sends(
            format!("{family:?}: {name}"),
            world,
            frame,
            Reason::Forwarded,
            node,
            output,
        )
    };
    let drops =
        |name: &str, world: &World, reason| Case::drops(format!("{family:?}: {name}"), world, frame, reason);
    let all = World::new;
    vec![
        sends("one candidate", &World::slot(2, 0, 0), 2, [0, 0]),
        sends("two candidates", &World::slot(2, 4, 0), 2, [4, 0]),
        sends("this node is asked next", &World::slot(2, 1, 4), 2, [1, 4]),
        sends("a hole in the slot", &World::slot(2, 0, 4), 2, [0, 4]),
        sends("no owner", &World::slot(0, 4, 0), 4, [0, 0]),
        sends(
            "draining owner",
            &all().backend(2, BackendState::Draining),
            2,
            [3, 4],
        ),
        sends(
            "owner down for the VIP",
            &all().backend(2, BackendState::Down),
            3,
            [4, 0],
        ),
        sends(
            "owner absent for the VIP",
            &all().backend(2, BackendState::Absent),
            3,
            [4, 0],
        ),
        sends(
            "owner down",
            &all().node(2, |node| node.state = NodeState::Down as u8),
            3,
            [4, 0],
        ),
        sends(
            "owner unknown",
            &all().node(2, |node| node.state = NodeState::Absent as u8),
            3,
            [4, 0],
        ),
        sends("number without a node", &World::slot(900, 2, 4), 2, [4, 0]),
        sends(
            "the best two down",
            &all()
                .backend(2, BackendState::Down)
                .node(3, |node| node.state = NodeState::Down as u8),
            4,
            [0, 0],
        ),
        drops(
            "all down",
            &(2..5).fold(all(), |world, node| world.backend(node, BackendState::Down)),
            Reason::NoNode,
        ),
        drops("nobody in the slot", &World::slot(0, 0, 0), Reason::EmptyPool),
        drops(
            "next hop not resolved",
            &all().node(2, |node| node.dmac = [0; 6]),
            Reason::NoNeighbour,
        ),
        drops(
            "another interface",
            &all().node(2, |node| node.ifindex = IFINDEX + 1),
            Reason::RedirectFail,
        ),
    ]
}

/// What still fits the MTU of 1500, by the outer family.
fn sizes(family: Family) -> Vec<Case> {
    let header = match family {
        Family::V4 => 40,
        Family::V6 => 60,
    };
    let mut cases = Vec::new();
    for (node, overhead) in [(2, 44), (3, 64)] {
        let world = &World::slot(node, 0, 0);
        let segment = Segment {
            payload: 1500 - overhead - header,
            ..Segment::new(family, ACK)
        };
        let output = sent(&[], &segment, node, 0, [0, 0]);
        let name = format!("{family:?}: just fits the way to node {node}");
        cases.push(Case::sends(
            name,
            world,
            &segment.frame(),
            Reason::Forwarded,
            node,
            output,
        ));
        let segment = Segment {
            payload: segment.payload + 1,
            ..segment
        };
        let name = format!("{family:?}: a byte too long for the way to node {node}");
        cases.push(Case::drops(name, world, &segment.frame(), Reason::TooBig));
    }
    cases
}

fn lives(family: Family) -> Vec<Case> {
    let world = &World::slot(2, 0, 0);
    let mut cases = Vec::new();
    for ttl in [0, 1] {
        let segment = Segment {
            ttl,
            ..Segment::new(family, ACK)
        };
        cases.push(Case::drops(
            format!("{family:?}: TTL {ttl}"),
            world,
            &segment.frame(),
            Reason::Ttl,
        ));
        let kept = World::slot(1, 0, 0);
        let name = format!("{family:?}: TTL {ttl}, kept");
        cases.push(Case::passes(name, &kept, &segment.frame(), Reason::Kept));
    }
    for ttl in [2, 255] {
        let segment = Segment {
            ttl,
            ..Segment::new(family, ACK)
        };
        let output = sent(&[], &segment, 2, 0, [0, 0]);
        let name = format!("{family:?}: TTL {ttl}");
        cases.push(Case::sends(
            name,
            world,
            &segment.frame(),
            Reason::Forwarded,
            2,
            output,
        ));
    }
    cases
}

//! Who keeps a packet: the second chance, where it enters and after the tunnel.

use std::net::IpAddr;

use ingress_common::{BackendState, Family, NodeState, Reason};

use super::Case;
use super::forward::address;
use super::frames::{ACK, FIN, Outer, RST, SYN, Segment, ethernet, onward, outer_port};
use super::world::{Agent, PEER_2, PEER_3, Sockets, World};

const COOKIE: &str = "a valid SYN cookie takes a kernel that has just sent one";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for family in [Family::V4, Family::V6] {
        cases.extend(at_entry(family));
        for peer in [IpAddr::V4(PEER_2), IpAddr::V6(PEER_3)] {
            cases.extend(after_tunnel(family, peer));
            cases.extend(who_next(family, peer));
        }
    }
    cases
}

/// What this node is asked, and whether it keeps the packet.
fn questions() -> Vec<(&'static str, u8, Agent, Sockets, bool)> {
    vec![
        ("SYN, fresh agent", SYN, Agent::Fresh, Sockets::None, true),
        (
            "SYN, fresh agent, listener",
            SYN,
            Agent::Fresh,
            Sockets::Listener,
            true,
        ),
        ("SYN, hung agent", SYN, Agent::Hung, Sockets::None, false),
        (
            "SYN, hung agent, listener",
            SYN,
            Agent::Hung,
            Sockets::Listener,
            false,
        ),
        ("SYN, draining agent", SYN, Agent::Draining, Sockets::None, false),
        (
            "SYN again, draining agent",
            SYN,
            Agent::Draining,
            Sockets::Connection,
            true,
        ),
        ("SYN and ACK", SYN | ACK, Agent::Fresh, Sockets::None, false),
        ("ACK, connection", ACK, Agent::Fresh, Sockets::Connection, true),
        (
            "ACK, connection, hung agent",
            ACK,
            Agent::Hung,
            Sockets::Connection,
            true,
        ),
        (
            "ACK, connection, draining agent",
            ACK,
            Agent::Draining,
            Sockets::Connection,
            true,
        ),
        ("ACK, no socket", ACK, Agent::Fresh, Sockets::None, false),
        ("ACK, listener", ACK, Agent::Fresh, Sockets::Listener, false),
        (
            "ACK, listener, its cookie",
            ACK,
            Agent::Fresh,
            Sockets::Cookie,
            true,
        ),
        (
            "ACK, listener, its cookie, draining agent",
            ACK,
            Agent::Draining,
            Sockets::Cookie,
            true,
        ),
        ("FIN, its cookie", FIN | ACK, Agent::Fresh, Sockets::Cookie, true),
        ("RST, no socket", RST, Agent::Fresh, Sockets::None, false),
        ("RST, connection", RST, Agent::Fresh, Sockets::Connection, true),
        (
            "RST and ACK are no cookie",
            RST | ACK,
            Agent::Fresh,
            Sockets::Listener,
            false,
        ),
    ]
}

fn needs(case: Case) -> Case {
    if case.world.sockets == Sockets::Cookie {
        case.host_only(COOKIE)
    } else {
        case
    }
}

fn at_entry(family: Family) -> Vec<Case> {
    let mut cases = Vec::new();
    let sent = |segment: &Segment, node, hops_left, next| {
        let outer = Outer::from_us(address(node), outer_port(segment.from), family, hops_left, next);
        onward(&[], node, &outer.around(&segment.hop().packet()))
    };
    for (name, flags, agent, sockets, kept) in questions() {
        let name = format!("{family:?} at entry: {name}");
        let world = World::slot(1, 2, 3).agent(agent).sockets(sockets);
        let segment = Segment::new(family, flags);
        let frame = segment.frame();
        cases.push(needs(if kept {
            Case::passes(name, &world, &frame, Reason::Kept)
        } else {
            Case::sends(
                name,
                &world,
                &frame,
                Reason::Forwarded,
                2,
                sent(&segment, 2, 1, [3, 0]),
            )
        }));
    }
    let segment = &Segment::new(family, ACK);
    let frame = &segment.frame();
    let mut keeps = |name: &str, world: &World| {
        cases.push(Case::passes(
            format!("{family:?} at entry: {name}"),
            world,
            frame,
            Reason::Kept,
        ));
    };
    keeps("nobody else", &World::slot(1, 0, 0));
    keeps(
        "everybody else down",
        &World::slot(1, 2, 3)
            .backend(2, BackendState::Down)
            .node(3, |node| node.state = NodeState::Down as u8),
    );
    keeps("nobody but this node", &World::slot(1, 1, 1));
    keeps(
        "nobody before this node",
        &World::slot(2, 3, 1)
            .backend(2, BackendState::Down)
            .backend(3, BackendState::Absent),
    );
    let mut sends = |name: &str, world: &World, node, hops_left, next| {
        let name = format!("{family:?} at entry: {name}");
        let output = sent(segment, node, hops_left, next);
        cases.push(Case::sends(name, world, frame, Reason::Forwarded, node, output));
    };
    sends(
        "the second is down",
        &World::slot(1, 2, 3).backend(2, BackendState::Down),
        3,
        0,
        [0, 0],
    );
    sends(
        "the second is draining",
        &World::slot(1, 2, 3).backend(2, BackendState::Draining),
        2,
        1,
        [3, 0],
    );
    sends("this node stands twice", &World::slot(1, 1, 3), 3, 0, [0, 0]);
    sends(
        "this node is down for the VIP",
        &World::slot(1, 2, 3).backend(1, BackendState::Down),
        2,
        1,
        [3, 0],
    );
    sends(
        "this node drains",
        &World::slot(1, 2, 3).backend(1, BackendState::Draining),
        2,
        1,
        [3, 0],
    );
    cases
}

/// `segment` as a peer sends it here.
fn arriving(peer: IpAddr, segment: &Segment, hops_left: u8, next: [u16; 2]) -> Vec<u8> {
    ethernet(
        &[],
        &Outer::to_us(peer, segment.family(), hops_left, next).around(&segment.packet()),
    )
}

/// The same as it is sent on from here: the inner packet untouched, the outer source port kept.
fn next_hop(segment: &Segment, node: u16, hops_left: u8, next: [u16; 2]) -> Vec<u8> {
    let outer = Outer::from_us(address(node), 0xc123, segment.family(), hops_left, next);
    onward(&[], node, &outer.around(&segment.packet()))
}

fn after_tunnel(family: Family, peer: IpAddr) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, flags, agent, sockets, kept) in questions() {
        let world = World::new().agent(agent).sockets(sockets);
        let segment = Segment {
            payload: 9,
            ..Segment::new(family, flags)
        };
        for (node, next) in [(3, [3, 4]), (4, [4, 3])] {
            let name = format!("{family:?} from {peer}, {node} next: {name}");
            let frame = arriving(peer, &segment, 2, next);
            cases.push(needs(if kept {
                Case::emerges(name, &world, &frame, segment.frame())
            } else {
                let output = next_hop(&segment, node, 1, [next[1], 0]);
                Case::sends(name, &world, &frame, Reason::NextHop, node, output)
            }));
        }
        let name = format!("{family:?} from {peer}, nobody next: {name}");
        let frame = arriving(peer, &segment, 0, [0, 0]);
        cases.push(needs(Case::emerges(name, &world, &frame, segment.frame())));
    }
    let segment = Segment::new(family, ACK);
    for tags in [&[0x8100][..], &[0x88a8, 0x8100]] {
        let outer = Outer::to_us(peer, family, 2, [3, 4]).around(&segment.packet());
        let frame = ethernet(tags, &outer);
        let name = format!("{family:?} from {peer} with {} tags", tags.len());
        let world = World::new().sockets(Sockets::Connection);
        let kept = ethernet(tags, &segment.packet());
        cases.push(Case::emerges(format!("{name}, kept"), &world, &frame, kept));
        let onward_to = Outer::from_us(address(3), 0xc123, family, 1, [4, 0]).around(&segment.packet());
        let output = onward(tags, 3, &onward_to);
        cases.push(Case::sends(
            format!("{name}, sent on"),
            &World::new(),
            &frame,
            Reason::NextHop,
            3,
            output,
        ));
    }
    cases
}

/// Which of the named nodes is asked.
fn who_next(family: Family, peer: IpAddr) -> Vec<Case> {
    let segment = &Segment::new(family, ACK);
    let name = |name: &str| format!("{family:?} from {peer}: {name}");
    let all = World::new;
    let keeps = |what: &str, world: World, hops_left, next| {
        Case::emerges(
            name(what),
            &world,
            &arriving(peer, segment, hops_left, next),
            segment.frame(),
        )
    };
    let sends = |what: &str, world: World, named: (u8, [u16; 2]), node, left: (u8, [u16; 2])| {
        let frame = arriving(peer, segment, named.0, named.1);
        let output = next_hop(segment, node, left.0, left.1);
        Case::sends(name(what), &world, &frame, Reason::NextHop, node, output)
    };
    vec![
        keeps("names, but no hop left", all(), 0, [3, 4]),
        keeps("hops, but no name", all(), 2, [0, 0]),
        keeps("only this node is named", all(), 2, [1, 1]),
        keeps("a number without a node is named", all(), 1, [900, 0]),
        keeps(
            "all that are named are down",
            all()
                .backend(3, BackendState::Down)
                .node(4, |node| node.state = NodeState::Down as u8),
            2,
            [3, 4],
        ),
        sends("one hop left of two names", all(), (1, [3, 4]), 3, (0, [0, 0])),
        sends("the second is the only name", all(), (1, [0, 4]), 4, (0, [0, 0])),
        sends("this node is named first", all(), (2, [1, 4]), 4, (0, [0, 0])),
        sends(
            "the first is down",
            all().backend(3, BackendState::Down),
            (2, [3, 4]),
            4,
            (0, [0, 0]),
        ),
        sends(
            "the first drains",
            all().backend(3, BackendState::Draining),
            (2, [3, 4]),
            3,
            (1, [4, 0]),
        ),
        Case::drops(
            name("the next is not resolved"),
            &all().node(3, |node| node.dmac = [0; 6]),
            &arriving(peer, segment, 2, [3, 4]),
            Reason::NoNeighbour,
        ),
        Case::drops(
            name("the next is too narrow"),
            &all().node(3, |node| node.mtu = 100),
            &arriving(peer, segment, 2, [3, 4]),
            Reason::TooBig,
        ),
    ]
}

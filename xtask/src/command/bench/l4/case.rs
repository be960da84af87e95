//! The cases: what is sent, what must become of it, and what it may cost.

use ingress_common::Reason;

use super::{
    frame::{Frame, Segment},
    sockets::Sockets,
    tables,
};

/// One row of the bench.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) program: Program,
    /// The frame of the first flow.
    pub(super) input: Frame,
    /// Flows that differ by source, a power of two.
    pub(super) flows: u32,
    pub(super) mark: Mark,
}

/// What is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Program {
    /// `ingress_xdp` behind the harness, every packet ending like this.
    Behind(End),
    /// `ingress_xdp` without the harness, every packet ending like this, unchanged.
    Direct(End),
    /// The harness's own program of this name, behind the harness, with this verdict.
    Own(&'static str, u32),
    /// `ingress_steer`, which is asked for a socket.
    Steer,
}

/// How a packet ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// In the tunnel to another node.
    Forwarded,
    /// Here, as it came.
    Kept,
    /// Here, without the tunnel's headers.
    KeptTunnel,
    /// As it came: it is none of ours.
    NotVip,
}

impl End {
    /// What the program counts it as.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Forwarded => Reason::Forwarded,
            Self::Kept => Reason::Kept,
            Self::KeptTunnel => Reason::KeptTunnel,
            Self::NotVip => Reason::NotVip,
        }
    }
}

/// What a case is held against, in nanoseconds above the empty program.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// Above it, the work is not done.
    pub(super) gate: Option<u32>,
    /// What is aimed at.
    pub(super) goal: Option<u32>,
    /// Katran's figure on this kind of machine: quoted, not rerun.
    pub(super) katran: Option<u32>,
}

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// Every case, in the order in which a round runs them.
pub(super) fn all(sockets: &Sockets) -> Vec<Case> {
    let forwarded = Program::Behind(End::Forwarded);
    let (ack, syn) = (Segment::Ack, Segment::Syn);
    let v4 = |segment| Frame::v4(tables::CLIENT_V4, tables::VIP_V4, tables::FORWARDED_PORT, segment);
    let kept = Frame::v4(sockets.client(), tables::VIP_V4, tables::KEPT_PORT, ack);
    let case = |name, program, input, flows, mark| Case {
        name,
        program,
        input,
        flows,
        mark,
    };
    let mark = |gate, goal, katran| Mark { gate, goal, katran };
    let none = Mark::default();
    vec![
        case(
            "v4-ack-forward",
            forwarded,
            v4(ack),
            1,
            mark(Some(80), Some(65), Some(112)),
        ),
        case(
            "v4-ack-forward-16k",
            forwarded,
            v4(ack),
            1 << 14,
            mark(None, Some(75), Some(149)),
        ),
        case(
            "v4-ack-forward-1m",
            forwarded,
            v4(ack),
            1 << 20,
            mark(None, Some(110), Some(484)),
        ),
        case(
            "v4-syn-forward",
            forwarded,
            v4(syn),
            1 << 20,
            mark(None, Some(65), Some(285)),
        ),
        case(
            "v6-ack-forward",
            forwarded,
            Frame::v6(tables::CLIENT_V6, tables::VIP_V6, tables::FORWARDED_PORT, ack),
            1,
            mark(None, Some(75), Some(112)),
        ),
        case(
            "v4-ack-keep",
            Program::Behind(End::Kept),
            kept.clone(),
            1,
            mark(None, Some(130), None),
        ),
        case(
            "v4-ack-keep-tunnel",
            Program::Behind(End::KeptTunnel),
            tables::tunnelled(&kept),
            1,
            mark(None, Some(130), None),
        ),
        case(
            "not-a-vip",
            Program::Direct(End::NotVip),
            Frame::v4(
                tables::CLIENT_V4,
                tables::STRANGER_V4,
                tables::FORWARDED_PORT,
                ack,
            ),
            1,
            mark(Some(50), Some(40), Some(48)),
        ),
        case("empty", Program::Own("empty", XDP_PASS), v4(ack), 1, none),
        case("grow", Program::Own("grow", XDP_TX), v4(ack), 1, none),
        case(
            "socket-test",
            Program::Own("socket_test", XDP_PASS),
            kept,
            1,
            none,
        ),
        case("steer", Program::Steer, v4(syn), 1, none),
    ]
}

/// Every case's name.
pub(super) fn names() -> [&'static str; 12] {
    [
        "v4-ack-forward",
        "v4-ack-forward-16k",
        "v4-ack-forward-1m",
        "v4-syn-forward",
        "v6-ack-forward",
        "v4-ack-keep",
        "v4-ack-keep-tunnel",
        "not-a-vip",
        "empty",
        "grow",
        "socket-test",
        "steer",
    ]
}

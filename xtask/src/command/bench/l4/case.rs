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
    pub(super) sends: Sends,
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

/// The frame of the first flow.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sends {
    /// An ACK whose flow belongs to another node.
    Ack,
    /// A SYN whose flow belongs to another node.
    Syn,
    /// An ACK over IPv6 whose flow belongs to another node.
    AckV6,
    /// An ACK of the connection that is established here.
    Established,
    /// The same in the tunnel.
    EstablishedTunnelled,
    /// An ACK to an address that is no VIP.
    Stranger,
}

impl Case {
    /// The frame that goes in.
    pub(super) fn input(&self, sockets: &Sockets) -> Frame {
        let v4 = |vip, segment| Frame::v4(tables::CLIENT_V4, vip, tables::FORWARDED_PORT, segment);
        let established = || Frame::v4(sockets.client(), tables::VIP_V4, tables::KEPT_PORT, Segment::Ack);
        match self.sends {
            Sends::Ack => v4(tables::VIP_V4, Segment::Ack),
            Sends::Syn => v4(tables::VIP_V4, Segment::Syn),
            Sends::AckV6 => Frame::v6(
                tables::CLIENT_V6,
                tables::VIP_V6,
                tables::FORWARDED_PORT,
                Segment::Ack,
            ),
            Sends::Established => established(),
            Sends::EstablishedTunnelled => tables::tunnelled(&established()),
            Sends::Stranger => v4(tables::STRANGER_V4, Segment::Ack),
        }
    }

    const fn new(name: &'static str, program: Program, sends: Sends) -> Self {
        Self {
            name,
            program,
            sends,
            flows: 1,
            mark: Mark {
                gate: None,
                goal: None,
                katran: None,
            },
        }
    }

    const fn flows(self, flows: u32) -> Self {
        Self { flows, ..self }
    }

    const fn gate(self, gate: u32) -> Self {
        Self {
            mark: Mark {
                gate: Some(gate),
                ..self.mark
            },
            ..self
        }
    }

    const fn goal(self, goal: u32) -> Self {
        Self {
            mark: Mark {
                goal: Some(goal),
                ..self.mark
            },
            ..self
        }
    }

    const fn katran(self, katran: u32) -> Self {
        Self {
            mark: Mark {
                katran: Some(katran),
                ..self.mark
            },
            ..self
        }
    }
}

/// What a case is held against, in nanoseconds above the empty program.
#[derive(Clone, Copy, Debug)]
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

const FORWARDED: Program = Program::Behind(End::Forwarded);

/// Every case, in the order in which a round runs them.
pub(super) static CASES: [Case; 12] = [
    Case::new("v4-ack-forward", FORWARDED, Sends::Ack)
        .gate(80)
        .goal(65)
        .katran(112),
    Case::new("v4-ack-forward-16k", FORWARDED, Sends::Ack)
        .flows(1 << 14)
        .goal(75)
        .katran(149),
    Case::new("v4-ack-forward-1m", FORWARDED, Sends::Ack)
        .flows(1 << 20)
        .goal(110)
        .katran(484),
    Case::new("v4-syn-forward", FORWARDED, Sends::Syn)
        .flows(1 << 20)
        .goal(65)
        .katran(285),
    Case::new("v6-ack-forward", FORWARDED, Sends::AckV6)
        .goal(75)
        .katran(112),
    Case::new("v4-ack-keep", Program::Behind(End::Kept), Sends::Established).goal(130),
    Case::new(
        "v4-ack-keep-tunnel",
        Program::Behind(End::KeptTunnel),
        Sends::EstablishedTunnelled,
    )
    .goal(130),
    Case::new("not-a-vip", Program::Direct(End::NotVip), Sends::Stranger)
        .gate(50)
        .goal(40)
        .katran(48),
    Case::new("empty", Program::Own("empty", XDP_PASS), Sends::Ack),
    Case::new("grow", Program::Own("grow", XDP_TX), Sends::Ack),
    Case::new(
        "socket-test",
        Program::Own("socket_test", XDP_PASS),
        Sends::Established,
    ),
    Case::new("steer", Program::Steer, Sends::Syn),
];

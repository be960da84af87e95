//! What a running agent says of itself and its cluster: as JSON between the agent and `ingress-agent status`, and as
//! text for people.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::model::MemberState;

mod text;

/// An agent's state at one moment.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// What it does; see [`State`].
    pub state: State,
    /// Why no traffic should be sent here; `None`: it should.
    pub unready: Option<String>,
    /// What it knows of the objects.
    pub source: Source,
    /// What came of the agents' ConfigMap; `None`: it is not read.
    pub settings: Option<Settings>,
    /// What it and others say of themselves to the API server; `None`: nothing is said there.
    pub cluster: Option<Cluster>,
    /// The nodes of the pools, by number.
    pub nodes: Vec<Node>,
    /// Where it serves, by address and port.
    pub vips: Vec<Vip>,
}

/// What an agent does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is served yet.
    #[default]
    Starting,
    /// It serves, but not all that it should.
    Unready,
    /// It serves.
    Serving,
    /// It takes nothing new.
    Draining,
}

/// How old what is served may be. Seconds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// Since the source last told a change; `None`: it has not told anything yet.
    pub changed_seconds_ago: Option<u64>,
    /// Since what it told last came into effect wholly; `None`: it has not.
    pub applied_seconds_ago: Option<u64>,
    /// Since the API server answered, by kind; `None`: it never did. Empty: objects come from elsewhere.
    pub answered_seconds_ago: BTreeMap<String, Option<u64>>,
    /// Objects, or parts of them, that are not served.
    pub refused: u64,
    /// Objects that are not served as written.
    pub degraded: u64,
}

/// What came of the agents' ConfigMap.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Settings {
    /// `NAMESPACE/NAME`.
    pub config_map: String,
    /// Whether there is one, and who says so.
    pub state: MapState,
    /// Why the API server has not said it since this agent started.
    pub error: Option<String>,
    /// Its keys that are in effect.
    pub in_effect: Vec<String>,
    /// Why the others are not, a line each.
    pub remarks: Vec<String>,
}

/// What is known of a ConfigMap.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MapState {
    /// Nothing.
    #[default]
    Unread,
    /// What a former agent saved.
    Saved,
    /// There is none.
    Absent,
    /// What it holds.
    Read,
}

/// What the API server was told, and when.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cluster {
    /// This node's name.
    pub node: String,
    /// Whether this agent leads.
    pub leads: bool,
    /// Seconds since the API server last took or answered something for this agent's Leases; `None`: never.
    pub answered_seconds_ago: Option<u64>,
    /// The node whose agent leads; `None`: nobody does, or the API server did not say.
    pub leader: Option<String>,
    /// The nodes' Leases, by name.
    pub leases: Vec<Lease>,
    /// Why the API server did not say who leads and which Leases there are.
    pub error: Option<String>,
}

/// A node's Lease.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lease {
    /// The node.
    pub node: String,
    /// What the leader gave it.
    pub number: Option<NonZeroU16>,
    /// What it says of itself.
    pub state: NodeState,
    /// Where others reach it.
    pub addresses: Vec<IpAddr>,
    /// The hash of the membership that is in force there, as 16 hex digits.
    pub generation: Option<String>,
    /// Seconds since it was renewed, by the wall clocks of both nodes; `None`: it never was, or will be.
    pub renewed_seconds_ago: Option<u64>,
    /// Why it cannot be used.
    pub faults: Vec<String>,
}

/// A node as this agent takes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: NonZeroU16,
    /// What it is given: one that is gone drains.
    pub state: NodeState,
}

/// What a node takes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// New connections to VIPs.
    Active,
    /// What it has, to the end.
    Draining,
    /// The same, since it was not heard for too long.
    Silent,
    /// Connections at its own addresses alone: it is handed none to VIPs.
    NoVips,
    /// Nothing: it does not serve yet.
    #[default]
    Idle,
}

impl NodeState {
    /// Of a node that takes new connections or does not, and serves VIPs or does not.
    pub const fn new(state: MemberState, ready: bool) -> Self {
        match (state, ready) {
            (MemberState::Active, true) => Self::Active,
            (MemberState::Draining, true) => Self::Draining,
            (MemberState::Silent, _) => Self::Silent,
            (MemberState::Active, false) => Self::NoVips,
            (MemberState::Draining, false) => Self::Idle,
        }
    }

    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::NoVips => "no VIPs",
            Self::Idle => "idle",
        }
    }
}

/// An address and port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Vip {
    /// `ADDRESS-PORT-PROTOCOL`.
    pub vip: String,
    /// Whether TLS ends there.
    pub tls: bool,
    /// The VipPool; `None`: an ordinary listener, which nobody announces.
    pub pool: Option<String>,
    /// The nodes that announce it: this one where it has the route, the others by what they say of themselves.
    pub announced_by: Vec<String>,
}

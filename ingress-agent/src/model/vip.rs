//! VIPs, the pools of nodes that serve them, and the pool's secret.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

/// An address + port + protocol that the outside world dials.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Vip {
    /// Never a node's own address, but in an [`Opening`](super::Opening).
    pub address: IpAddr,
    /// The port.
    pub port: NonZeroU16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Vip {
    /// `ADDRESS-PORT-PROTO`: also the name of the VIP's backend map under `vips/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.address, self.port, self.protocol)
    }
}

/// A VIP's transport protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
        }
    }
}

/// The name of the `VipPool` a pool comes from.
pub type PoolName = Arc<str>;

/// The nodes that serve a set of VIPs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// Unique among pools.
    pub name: PoolName,
    /// The VIPs, in their order.
    pub vips: Vec<Vip>,
    /// The nodes, by number. Numbers and names are unique.
    pub members: Vec<Member>,
}

impl Pool {
    /// Whether a node of this name is among its members.
    pub fn has(&self, node: &str) -> bool {
        self.members.iter().any(|member| *member.name == *node)
    }
}

/// A node of a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// 1 to 4,095; goes on the wire; never reused for another node.
    pub number: NonZeroU16,
    /// What rendezvous hashing hashes.
    pub name: Arc<str>,
    /// The node's own addresses; the first of each family is its outer address.
    pub addresses: Vec<IpAddr>,
    /// Whether it is given new connections.
    pub state: MemberState,
    /// Whether its programs and listeners for VIPs are in place. Where they are not, it is handed no packet, and may
    /// still enter some.
    pub ready: bool,
}

/// Whether a node is given new connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemberState {
    /// It is.
    Active,
    /// It keeps the ones it has, as it said itself.
    Draining,
    /// The same, since it was not heard for too long. It may be dead, or only cut off from the API server.
    Silent,
}

/// What the slot hash's key and the tunnel key derive from: 32 bytes, the same on every node.
#[derive(Clone, Eq, PartialEq)]
pub struct PoolSecret(pub [u8; 32]);

impl fmt::Debug for PoolSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolSecret(..)")
    }
}

//! What this node's programs should do, from the model: pure, and free of anything only the kernel knows.
//!
//! In: the model and this node's name. Out: nodes, pools and VIPs by their own names, and what had to be left
//! out. It knows no map, no number of ours and no interface: those join when the plan is applied.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use ingress_common::{MAX_POOLS, MAX_PORTS, MAX_VIPS};

use super::keys::Keys;
use super::rendezvous::Candidate;
use super::siphash::siphash13;
use crate::model::{Member, MemberState, Model, Pool, PoolName, Vip};

/// What this node's programs should do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// This node's number; `None` only when there is no pool at all.
    pub own: Option<u16>,
    /// The nodes of all pools, this one among them, by number.
    pub nodes: BTreeMap<u16, PlanNode>,
    /// Who serves in each pool: the members that are ready or, where none is, all.
    pub pools: BTreeMap<PoolName, Vec<Candidate>>,
    /// Which pool serves each VIP.
    pub vips: BTreeMap<Vip, PoolName>,
    /// What the flows' hash and the tunnel are keyed with.
    pub keys: Keys,
    /// A hash over every pool's members and their states; the same on all nodes. Packets carry its low 16 bits.
    pub generation: u64,
    /// What is in the model and not in this plan.
    pub left_out: Vec<LeftOut>,
}

/// A node, as far as the model tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanNode {
    /// Its name.
    pub name: Arc<str>,
    /// Its outer IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its outer IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl PlanNode {
    /// Its outer addresses.
    pub fn outer(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// Its outer address of the same family as `address`.
    pub fn outer_like(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// This node is in no pool.
    #[error(
        "this node, `{node}`, is in no pool (their nodes are: {members}); add it to the nodes, or name it as they do \
         with --node"
    )]
    UnknownNode {
        /// The name that was looked for.
        node: String,
        /// The names that are there.
        members: String,
    },
    /// Two nodes need keys that they share.
    #[error(
        "{nodes} nodes and no secret: flows cannot be hashed alike and the tunnel has no key; set `secret` to 64 hex \
         digits, the same on every node"
    )]
    NoSecret {
        /// How many nodes there are.
        nodes: usize,
    },
}

/// An object of the model that is not in the plan, and why. Nothing else suffers from it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LeftOut {
    /// One pool too many.
    #[error("VipPool {pool}: left out, because {MAX_POOLS} pools are served already; merge pools")]
    TooManyPools {
        /// The pool.
        pool: PoolName,
    },
    /// The name cannot be a pin's.
    #[error("VipPool {pool:?}: left out, because its name cannot be a file's; rename it")]
    PoolName {
        /// The pool.
        pool: PoolName,
    },
    /// Two nodes with one number, or one with two.
    #[error(
        "VipPool {pool}: left out, because its node {node} has number {number}, which is {other}'s; give each node a \
         number of its own"
    )]
    NodeNumber {
        /// The pool.
        pool: PoolName,
        /// The node.
        node: Arc<str>,
        /// Its number.
        number: u16,
        /// Who has the number in another pool.
        other: Arc<str>,
    },
    /// One VIP too many.
    #[error("VIP {vip} of VipPool {pool}: left out, because {} VIPs are served already; use fewer ports or addresses", MAX_VIPS - 1)]
    TooManyVips {
        /// The VIP.
        vip: Vip,
        /// Its pool.
        pool: PoolName,
    },
    /// One port too many.
    #[error(
        "VIP {vip} of VipPool {pool}: left out, because its address serves {MAX_PORTS} ports already; use another address"
    )]
    TooManyPorts {
        /// The VIP.
        vip: Vip,
        /// Its pool.
        pool: PoolName,
    },
    /// Two pools have it.
    #[error("VIP {vip} of VipPool {pool}: left out, because VipPool {other} has it; give it to one of them")]
    Claimed {
        /// The VIP.
        vip: Vip,
        /// Its pool.
        pool: PoolName,
        /// The pool that keeps it.
        other: PoolName,
    },
    /// A node's own address, which must stay the node's.
    #[error("VIP {vip} of VipPool {pool}: left out, because {} is node {node}'s own address; take an address that no node has", vip.address)]
    NodeAddress {
        /// The VIP.
        vip: Vip,
        /// Its pool.
        pool: PoolName,
        /// The node.
        node: Arc<str>,
    },
}

impl Plan {
    /// The plan of the node called `node`.
    ///
    /// # Errors
    ///
    /// When the node is in no pool, or when several nodes share no secret.
    pub fn new(model: &Model, node: &str) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        let mut pools: Vec<&Pool> = model.pools.iter().map(AsRef::as_ref).collect();
        pools.sort_by(|a, b| a.name.cmp(&b.name));
        pools.retain(|pool| plan.admit(pool));
        if pools.is_empty() {
            return Ok(plan);
        }
        plan.own = plan
            .nodes
            .iter()
            .find(|(_, member)| *member.name == *node)
            .map(|(number, _)| *number);
        if plan.own.is_none() {
            let members: Vec<&str> = plan.nodes.values().map(|member| &*member.name).collect();
            return Err(PlanError::UnknownNode {
                node: node.to_owned(),
                members: members.join(", "),
            });
        }
        plan.keys = match &model.secret {
            Some(secret) => Keys::derive(secret),
            None if plan.nodes.len() > 1 => {
                return Err(PlanError::NoSecret {
                    nodes: plan.nodes.len(),
                });
            }
            None => Keys::default(),
        };
        plan.generation = generation(&plan.pools);
        let owners = node_addresses(&pools);
        for pool in pools {
            for vip in &pool.vips {
                match plan.refusal(*vip, pool, &owners) {
                    Some(left_out) => plan.left_out.push(left_out),
                    None => {
                        plan.vips.insert(*vip, Arc::clone(&pool.name));
                    }
                }
            }
        }
        Ok(plan)
    }

    /// Whether this node is of a pool and is handed nothing, because it is not ready and others are.
    pub fn is_spared(&self) -> bool {
        let mut asked = self.pools.values().flatten();
        self.own
            .is_some_and(|own| !asked.any(|candidate| candidate.number == own))
    }

    /// What of the generation packets carry.
    pub const fn low_generation(&self) -> u16 {
        let [.., high, low] = self.generation.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Takes a pool's members in, unless the pool has to be left out.
    fn admit(&mut self, pool: &Pool) -> bool {
        let left_out = if self.pools.len() >= MAX_POOLS as usize {
            Some(LeftOut::TooManyPools {
                pool: Arc::clone(&pool.name),
            })
        } else if !is_file_name(&pool.name) {
            Some(LeftOut::PoolName {
                pool: Arc::clone(&pool.name),
            })
        } else {
            self.stranger(pool)
        };
        if let Some(left_out) = left_out {
            self.left_out.push(left_out);
            return false;
        }
        for member in &pool.members {
            self.nodes
                .entry(member.number.get())
                .or_insert_with(|| PlanNode::from(member));
        }
        // Where nobody is ready, somebody has to be asked all the same.
        let nobody = !pool.members.iter().any(|member| member.ready);
        let asked = pool.members.iter().filter(|member| member.ready || nobody);
        let mut candidates: Vec<Candidate> = asked.map(Candidate::from).collect();
        candidates.sort_by(|a, b| a.name.cmp(&b.name));
        self.pools.insert(Arc::clone(&pool.name), candidates);
        true
    }

    /// A member whose number another pool gives to somebody else.
    fn stranger(&self, pool: &Pool) -> Option<LeftOut> {
        pool.members.iter().find_map(|member| {
            let number = member.number.get();
            let other = self
                .nodes
                .get(&number)
                .filter(|other| other.name != member.name)?;
            Some(LeftOut::NodeNumber {
                pool: Arc::clone(&pool.name),
                node: Arc::clone(&member.name),
                number,
                other: Arc::clone(&other.name),
            })
        })
    }

    fn refusal(&self, vip: Vip, pool: &Pool, owners: &BTreeMap<IpAddr, Arc<str>>) -> Option<LeftOut> {
        let pool = Arc::clone(&pool.name);
        if let Some(node) = owners.get(&vip.address) {
            return Some(LeftOut::NodeAddress {
                vip,
                pool,
                node: Arc::clone(node),
            });
        }
        if let Some(other) = self.vips.get(&vip) {
            return Some(LeftOut::Claimed {
                vip,
                pool,
                other: Arc::clone(other),
            });
        }
        if self.vips.len() + 1 >= MAX_VIPS as usize {
            return Some(LeftOut::TooManyVips { vip, pool });
        }
        let first = Vip {
            port: NonZeroU16::MIN,
            ..vip
        };
        let last = Vip {
            port: NonZeroU16::MAX,
            ..vip
        };
        let ports = self.vips.range(first..=last).count();
        (ports >= MAX_PORTS).then_some(LeftOut::TooManyPorts { vip, pool })
    }
}

impl From<&Member> for PlanNode {
    fn from(member: &Member) -> Self {
        let v4 = member.addresses.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = member.addresses.iter().find_map(|address| match address {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        });
        Self {
            name: Arc::clone(&member.name),
            v4,
            v6,
        }
    }
}

impl From<&Member> for Candidate {
    fn from(member: &Member) -> Self {
        Self {
            name: Arc::clone(&member.name),
            number: member.number.get(),
            active: member.state == MemberState::Active,
        }
    }
}

fn node_addresses(pools: &[&Pool]) -> BTreeMap<IpAddr, Arc<str>> {
    let members = pools.iter().flat_map(|pool| &pool.members);
    members
        .flat_map(|member| {
            member
                .addresses
                .iter()
                .map(|address| (*address, Arc::clone(&member.name)))
        })
        .collect()
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 200 && !name.contains(['/', '\0'])
}

fn generation(pools: &BTreeMap<PoolName, Vec<Candidate>>) -> u64 {
    let mut bytes = Vec::new();
    for (name, candidates) in pools {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        for candidate in candidates {
            bytes.extend_from_slice(candidate.name.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(&candidate.number.to_be_bytes());
            bytes.push(u8::from(candidate.active));
        }
        bytes.push(0);
    }
    siphash13(Default::default(), &bytes)
}

#[cfg(test)]
mod tests;

//! `nodes.yaml`: the nodes of a fleet without an API server, and the secret they share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::lease::is_outer;
use super::{Cause, Fault};
use crate::model::vip::PoolSecret;
use crate::model::{Member, MemberState};

/// How long a number stays its last owner's after the node has left: tunnel headers that name it, and
/// peers that have not read the change yet, are gone by then.
pub const NUMBER_REST: Duration = Duration::from_secs(600);
/// The greatest number: twelve bits on the wire.
pub const MAX_NUMBER: u16 = 4095;

/// The nodes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nodes {
    /// What the hash and tunnel keys derive from; never `None` with two or more nodes.
    pub secret: Option<Arc<PoolSecret>>,
    /// By number; numbers, names and addresses are unique.
    pub nodes: Vec<Node>,
    /// Numbers of nodes that left: their names, and since when, in seconds of the caller's clock.
    rested: BTreeMap<NonZeroU16, (Arc<str>, u64)>,
}

/// A node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// What the model needs of it.
    pub member: Member,
    /// What a VipPool's `nodeSelector` looks at.
    pub labels: BTreeMap<String, String>,
}

/// `nodes.yaml` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// 64 hex digits.
    secret: Option<String>,
    /// The nodes.
    nodes: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    number: u16,
    addresses: Vec<IpAddr>,
    #[serde(default)]
    state: State,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Active,
    Draining,
}

impl Nodes {
    /// The fleet of one node that there is without `nodes.yaml`.
    pub fn alone(name: &Arc<str>) -> Self {
        Self {
            secret: None,
            nodes: vec![Node {
                member: Member {
                    number: NonZeroU16::MIN,
                    name: Arc::clone(name),
                    addresses: Vec::new(),
                    state: MemberState::Active,
                    ready: true,
                },
                labels: BTreeMap::new(),
            }],
            rested: BTreeMap::new(),
        }
    }

    /// The fleet of nodes that found one another otherwise; who gives them their numbers sees to it that they rest.
    /// Numbers, names and addresses are unique.
    pub fn joined(secret: Option<Arc<PoolSecret>>, mut nodes: Vec<Node>) -> Self {
        nodes.sort_by_key(|node| node.member.number);
        Self {
            secret,
            nodes,
            rested: BTreeMap::new(),
        }
    }

    /// Whether a node of this name is among them.
    pub fn has(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| *node.member.name == *name)
    }
}

/// Turns `nodes.yaml` into its value. It is taken whole or, with a fault, not at all: half a fleet would
/// move flows. `now` is in seconds of any clock that only goes forward.
///
/// A number that named another node, until now or within [`NUMBER_REST`], is refused: packets under way
/// would be taken for that node's. What happened before the agent's start is not known.
pub fn digest(file: File, previous: Option<&Arc<Nodes>>, now: u64) -> Result<Arc<Nodes>, Fault> {
    let File { secret, nodes } = file;
    let secret = secret.map(|text| parse_secret(&text)).transpose()?;
    if nodes.is_empty() {
        return Err(wrong(
            "nodes",
            "no nodes",
            "at least one",
            "list the nodes, or remove the file to run alone",
        ));
    }
    if nodes.len() > 1 && secret.is_none() {
        return Err(wrong(
            "secret",
            "nothing",
            "64 hex digits, the same on every node, because there are two or more nodes",
            "write the output of `openssl rand -hex 32` there",
        ));
    }
    let (mut names, mut numbers, mut addresses) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut read = Vec::new();
    for (index, entry) in nodes.into_iter().enumerate() {
        let node = node(index, entry)?;
        let twice = |field: &str, what: String| {
            Err(wrong(
                format!("nodes[{index}].{field}"),
                format!("{what} a second time"),
                "names, numbers and addresses that belong to one node each",
                "correct the one that is wrong",
            ))
        };
        if !names.insert(Arc::clone(&node.member.name)) {
            return twice("name", format!("`{}`", node.member.name));
        }
        if !numbers.insert(node.member.number) {
            return twice("number", node.member.number.to_string());
        }
        if let Some(address) = node
            .member
            .addresses
            .iter()
            .find(|address| !addresses.insert(**address))
        {
            return twice("addresses", address.to_string());
        }
        read.push(node);
    }
    let unreachable = read
        .iter()
        .find(|node| read.len() > 1 && node.member.addresses.is_empty());
    if let Some(node) = unreachable {
        return Err(wrong(
            "nodes",
            format!("node `{}` without addresses", node.member.name),
            "at least one address of every node, because there are two or more",
            "write the addresses at which the other nodes reach it",
        ));
    }
    read.sort_by_key(|node| node.member.number);
    let rested = rest(&read, previous, now)?;
    let new = Nodes {
        secret,
        nodes: read,
        rested,
    };
    Ok(super::keep(new, previous))
}

fn parse_secret(text: &str) -> Result<Arc<PoolSecret>, Fault> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    match bytes.map(<[u8; 32]>::try_from) {
        Some(Ok(secret)) => Ok(Arc::new(PoolSecret(secret))),
        // The text is not shown: it may be a secret with one digit wrong.
        Some(Err(_)) | None => Err(wrong(
            "secret",
            format!("{} characters that are not 64 hex digits", text.chars().count()),
            "64 hex digits",
            "write the output of `openssl rand -hex 32` there, the same on every node",
        )),
    }
}

fn node(index: usize, entry: Entry) -> Result<Node, Fault> {
    let Entry {
        name,
        number,
        addresses,
        state,
        labels,
    } = entry;
    let number = match NonZeroU16::new(number) {
        Some(number) if number.get() <= MAX_NUMBER => number,
        Some(_) | None => {
            return Err(wrong(
                format!("nodes[{index}].number"),
                number.to_string(),
                "1 to 4095",
                "give the node a number that no node has had",
            ));
        }
    };
    if name.is_empty() {
        return Err(wrong(
            format!("nodes[{index}].name"),
            "an empty name",
            "the node's name",
            "name the node",
        ));
    }
    if let Some(address) = addresses.iter().find(|address| !is_outer(address)) {
        return Err(wrong(
            format!("nodes[{index}].addresses"),
            address.to_string(),
            "addresses at which the other nodes reach this one",
            "write the node's own addresses",
        ));
    }
    let state = match state {
        State::Active => MemberState::Active,
        State::Draining => MemberState::Draining,
    };
    Ok(Node {
        member: Member {
            number,
            name: Arc::from(name),
            addresses,
            state,
            ready: true,
        },
        labels,
    })
}

/// The numbers nobody else may have yet, or the fault of a node that took one.
fn rest(
    nodes: &[Node],
    previous: Option<&Arc<Nodes>>,
    now: u64,
) -> Result<BTreeMap<NonZeroU16, (Arc<str>, u64)>, Fault> {
    let Some(previous) = previous else {
        return Ok(BTreeMap::new());
    };
    let mut rested = previous.rested.clone();
    rested.retain(|_, (_, since)| now.saturating_sub(*since) < NUMBER_REST.as_secs());
    rested.extend(
        previous
            .nodes
            .iter()
            .map(|node| (node.member.number, (Arc::clone(&node.member.name), now))),
    );
    for node in nodes {
        match rested.remove(&node.member.number) {
            Some((owner, _)) if owner != node.member.name => {
                return Err(wrong(
                    "nodes",
                    format!(
                        "number {} for node `{}`, which was node `{owner}`'s",
                        node.member.number, node.member.name
                    ),
                    "a number that no other node has had within the last ten minutes",
                    "give the new node a number of its own",
                ));
            }
            Some(_) | None => {}
        }
    }
    Ok(rested)
}

fn wrong(
    field: impl Into<Arc<str>>,
    found: impl Into<Arc<str>>,
    expected: &'static str,
    change: &'static str,
) -> Fault {
    Fault::refused(Cause::Nodes, field)
        .found(found)
        .expected(expected)
        .so("the file is not used and the nodes stay as they were")
        .change(change)
}

#[cfg(test)]
mod tests;

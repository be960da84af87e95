//! Lease (coordination.k8s.io/v1) of a node: by it, agents tell one another who they are.
//!
//! The one place that knows how a node's Lease is written and read. The node's own agent writes all of it but
//! the number, which the leader writes. `spec.renewTime` is no part of the value: a heartbeat changes nothing
//! but [`Beat`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::node::{MAX_NUMBER, Node};
use super::{Cause, Fault, keep, object};
use crate::model::{Member, MemberState, ObjectRef};

/// The label by which Leases of ours are told from others, and what it says of a node's.
pub const LABEL: (&str, &str) = ("ingress-agent.dev/lease", "node");
/// A silent node's Lease has ended after this many seconds.
pub const DURATION_SECONDS: u16 = 15;
/// [`DURATION_SECONDS`], as time.
pub const DURATION: Duration = Duration::from_secs(DURATION_SECONDS as u64);
/// Who has not heard the own heartbeat for so long, which comes every five seconds, judges nobody, and begins anew with
/// the next one: half of [`DURATION`], so that those who were kept from renewing meanwhile have time to.
pub const OWN_SILENCE: Duration = Duration::from_millis(7_500);
/// How long a node stays a member after its Lease has ended, in which it drains; then the leader deletes the Lease.
pub const GONE: Duration = Duration::from_secs(600);

const PREFIX: &str = "node-";
const NAME: &str = "metadata.name";
const ADDRESSES: &str = "ingress-agent.dev/addresses";
const STATE: &str = "ingress-agent.dev/state";
const LABELS: &str = "ingress-agent.dev/labels";
const NUMBER: &str = "ingress-agent.dev/number";
const GENERATION: &str = "ingress-agent.dev/generation";
const ACTIVE: &str = "active";
const DRAINING: &str = "draining";
/// RFC 1123's longest name, which is the API server's.
const LONGEST_NAME: usize = 253;

/// What a node's Lease says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeLease {
    /// The Lease.
    pub object: ObjectRef,
    /// The node's name.
    pub node: Arc<str>,
    /// Which process writes it; empty where it does not say.
    pub holder: Arc<str>,
    /// Where the other nodes reach it; the first of each family is its outer address.
    pub addresses: Vec<IpAddr>,
    /// Whether it is given new connections.
    pub state: MemberState,
    /// The labels of its Node.
    pub labels: BTreeMap<String, String>,
    /// What the leader gave it.
    pub number: Option<NonZeroU16>,
    /// The hash of the membership that is in force there; `None`: it serves no VIP, and is handed nothing.
    pub generation: Option<u64>,
    /// What of it could not be read. With one that is refused, the node is no member.
    pub faults: Vec<Fault>,
}

/// What a heartbeat changes. Of two that are equal the later one is no sign of life; which of two is the later one
/// is not asked of a clock that may jump.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Beat {
    renewed: Option<MicroTime>,
    holder: Option<String>,
}

impl Beat {
    /// The Lease's last heartbeat.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        Self {
            renewed: spec.and_then(|spec| spec.renew_time.clone()),
            holder: spec.and_then(|spec| spec.holder_identity.clone()),
        }
    }

    /// Who wrote it; `None`: nobody holds the Lease.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }
}

/// The name of a node's Lease; `None` for a node whose name is too long to have one.
pub fn name(node: &str) -> Option<String> {
    let name = format!("{PREFIX}{node}");
    (name.len() <= LONGEST_NAME).then_some(name)
}

/// Turns a Lease with our [`LABEL`] into its value.
pub fn digest(lease: Lease, previous: Option<&Arc<NodeLease>>) -> Arc<NodeLease> {
    let Lease { metadata, spec } = lease;
    let LeaseSpec {
        holder_identity,
        acquire_time: _,
        lease_duration_seconds: _,
        lease_transitions: _,
        preferred_holder: _,
        renew_time: _,
        strategy: _,
    } = spec.unwrap_or_default();
    let object = object("Lease", &metadata);
    let annotations = metadata.annotations.unwrap_or_default();
    let value = |key| annotations.get(key).map(String::as_str);
    let mut faults = Vec::new();
    let mut take = |fault| faults.push(fault);
    let node = node(&object.name).map_err(&mut take).unwrap_or_default();
    let addresses = addresses(value(ADDRESSES)).map_err(&mut take).unwrap_or_default();
    let state = state(value(STATE))
        .map_err(&mut take)
        .unwrap_or(MemberState::Draining);
    let labels = labels(value(LABELS)).map_err(&mut take).unwrap_or_default();
    let number = value(NUMBER).map(number).transpose().map_err(&mut take);
    let written = value(GENERATION).filter(|text| !text.is_empty());
    let generation = written.map(generation).transpose().map_err(&mut take);
    let lease = NodeLease {
        object,
        node: Arc::from(node),
        holder: Arc::from(holder_identity.unwrap_or_default()),
        addresses,
        state,
        labels,
        number: number.ok().flatten(),
        generation: generation.ok().flatten(),
        faults,
    };
    keep(lease, previous)
}

impl NodeLease {
    /// The node as a member; `None` without a number or with a fault.
    pub fn member(&self) -> Option<Node> {
        let member = Member {
            number: self.number?,
            name: Arc::clone(&self.node),
            addresses: self.addresses.clone(),
            state: self.state,
            ready: self.generation.is_some(),
        };
        self.faults.is_empty().then(|| Node {
            member,
            labels: self.labels.clone(),
        })
    }
}

/// What a node's own agent writes into its Lease's annotations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Announced {
    /// As [`NodeLease::addresses`].
    pub addresses: Vec<IpAddr>,
    /// As [`NodeLease::state`].
    pub state: MemberState,
    /// As [`NodeLease::labels`].
    pub labels: BTreeMap<String, String>,
    /// As [`NodeLease::generation`].
    pub generation: Option<u64>,
}

impl Announced {
    /// Writes it among the annotations of the node's Lease and leaves all others as they are.
    pub fn write(&self, annotations: &mut BTreeMap<String, String>) {
        let addresses: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        let state = match self.state {
            MemberState::Active => ACTIVE,
            MemberState::Draining | MemberState::Silent => DRAINING,
        };
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into()));
        let labels = serde_json::Value::Object(labels.collect());
        annotations.insert(ADDRESSES.to_owned(), addresses.join(","));
        annotations.insert(STATE.to_owned(), state.to_owned());
        annotations.insert(LABELS.to_owned(), labels.to_string());
        // Empty and not removed: a patch that leaves a key out leaves its value.
        let generation = self.generation.map(|generation| format!("{generation:016x}"));
        annotations.insert(GENERATION.to_owned(), generation.unwrap_or_default());
    }
}

/// The annotation by which the leader gives a node its number: its key and value.
pub fn number_annotation(number: NonZeroU16) -> (&'static str, String) {
    (NUMBER, number.to_string())
}

/// What is told of a node that has the address of another.
pub fn taken(address: IpAddr, owner: &str) -> Fault {
    Wrong {
        field: ADDRESSES,
        found: format!("{address}, which node `{owner}` has"),
        expected: "addresses that belong to one node each",
    }
    .fault()
    .change("give each Node an InternalIP of its own, or delete the Node that is gone")
}

fn node(name: &str) -> Result<String, Fault> {
    match name.strip_prefix(PREFIX) {
        Some(node) if !node.is_empty() => Ok(node.to_owned()),
        Some(_) | None => Err(Wrong {
            field: NAME,
            found: format!("`{name}`"),
            expected: "`node-` and the node's name",
        }
        .fault()),
    }
}

fn addresses(text: Option<&str>) -> Result<Vec<IpAddr>, Fault> {
    let wrong = |found| {
        Wrong {
            field: ADDRESSES,
            found,
            expected: "the node's addresses, at least one, with commas between them",
        }
        .fault()
    };
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err(wrong("nothing".to_owned()));
    };
    let address = |text: &str| {
        let address = text.parse().ok().filter(is_outer);
        address.ok_or_else(|| wrong(format!("`{text}`")))
    };
    text.split(',').map(address).collect()
}

/// Whether another node can reach it.
pub fn is_outer(address: &IpAddr) -> bool {
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
}

fn state(text: Option<&str>) -> Result<MemberState, Fault> {
    match text {
        Some(ACTIVE) => Ok(MemberState::Active),
        Some(DRAINING) => Ok(MemberState::Draining),
        Some(_) | None => Err(Wrong {
            field: STATE,
            found: found(text),
            expected: "`active` or `draining`",
        }
        .fault()),
    }
}

fn labels(text: Option<&str>) -> Result<BTreeMap<String, String>, Fault> {
    let labels = text.and_then(|text| serde_json::from_str(text).ok());
    labels.ok_or_else(|| {
        Wrong {
            field: LABELS,
            found: found(text),
            expected: "the Node's labels, as a JSON object of strings",
        }
        .fault()
    })
}

fn number(text: &str) -> Result<NonZeroU16, Fault> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &NonZeroU16| number.get() <= MAX_NUMBER);
    number.ok_or_else(|| {
        Wrong {
            field: NUMBER,
            found: found(Some(text)),
            expected: "1 to 4095",
        }
        .fault()
    })
}

fn generation(text: &str) -> Result<u64, Fault> {
    u64::from_str_radix(text, 16).map_err(|_| {
        Wrong {
            field: GENERATION,
            found: found(Some(text)),
            expected: "16 hex digits",
        }
        .fault()
    })
}

fn found(text: Option<&str>) -> String {
    text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"))
}

/// What is wrong with a node's Lease: nobody writes one by hand.
struct Wrong {
    field: &'static str,
    found: String,
    expected: &'static str,
}

impl Wrong {
    fn fault(self) -> Fault {
        let field = match self.field {
            NAME => NAME.to_owned(),
            annotation => format!("metadata.annotations[{annotation}]"),
        };
        Fault::refused(Cause::NodeLease, field)
            .found(self.found)
            .expected(self.expected)
            .so("the node is no member and gets no new connections")
            .change("delete the Lease: the node's agent writes it anew")
    }
}

#[cfg(test)]
mod tests;

//! What the two files hold.

use std::sync::Arc;

use super::code::{Code, Keys, Reader};
use super::seal::{Magic, Unsound, open, seal};
use super::values::fingerprint;
use crate::digest::{Node, Nodes};
use crate::model::PrivateKey;
use crate::model::vip::PoolSecret;
use crate::source::kube::client::Identity;
use crate::translate::{Allocation, Snapshot};

/// The files of a snapshot.
#[derive(Debug)]
pub struct Files {
    /// All but what nobody else may know.
    pub snapshot: Vec<u8>,
    /// Private keys and the fleet's secret.
    pub keys: Vec<u8>,
}

/// What nobody else may know.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Kept {
    /// The private keys.
    pub keys: Keys,
    /// The fleet's.
    pub secret: Option<Arc<PoolSecret>>,
}

/// A snapshot of the cluster of this identity as files.
pub fn encode(snapshot: &Snapshot, identity: &Identity) -> Files {
    // What is not written: this node's name and the time are the reader's; what could not be read is asked for anew;
    // how addresses are given out is this source's way.
    let Snapshot {
        node: _,
        time: _,
        ingresses,
        classes,
        default_class,
        services,
        endpoints,
        secrets,
        pools,
        nodes,
        foreign: _,
        findings: _,
        allocation: _,
        restored: _,
    } = snapshot;
    let mut payload = Vec::new();
    ingresses.put(&mut payload);
    classes.put(&mut payload);
    default_class.put(&mut payload);
    services.put(&mut payload);
    endpoints.put(&mut payload);
    secrets.put(&mut payload);
    pools.put(&mut payload);
    let members = nodes.as_ref().map_or(&[][..], |nodes| &nodes.nodes);
    members.len().put(&mut payload);
    members.iter().for_each(|node| node.put(&mut payload));
    let pairs = secrets.iter().filter_map(|entry| entry.value.pair.as_ref());
    let keys = pairs.filter(|pair| pair.certificate.key != PrivateKey::Gone);
    let keys = keys.filter_map(|pair| {
        let certificate = &pair.certificate;
        Some((fingerprint(&certificate.chain)?, certificate.key.clone()))
    });
    let keys: Keys = keys.collect();
    let mut secret = Vec::new();
    keys.into_iter().collect::<Vec<_>>().put(&mut secret);
    let shared = nodes.as_ref().and_then(|nodes| nodes.secret.clone());
    shared.put(&mut secret);
    Files {
        snapshot: seal(Magic::Snapshot, identity, &payload),
        keys: seal(Magic::Keys, identity, &secret),
    }
}

/// What a file of [`Files::keys`] holds.
pub fn keys(file: &[u8], identity: &Identity) -> Result<Kept, Unsound> {
    let payload = open(Magic::Keys, identity, file)?;
    whole(payload, &Keys::new(), |from| {
        let keys: Vec<_> = Code::take(from)?;
        Some(Kept {
            keys: keys.into_iter().collect(),
            secret: Code::take(from)?,
        })
    })
}

/// The snapshot of a file, of no certain time. Nodes that need a secret that was not kept are not known.
pub fn decode(file: &[u8], kept: &Kept, identity: &Identity, node: &Arc<str>) -> Result<Snapshot, Unsound> {
    let payload = open(Magic::Snapshot, identity, file)?;
    whole(payload, &kept.keys, |from| {
        Some(Snapshot {
            ingresses: Code::take(from)?,
            classes: Code::take(from)?,
            default_class: Code::take(from)?,
            services: Code::take(from)?,
            endpoints: Code::take(from)?,
            secrets: Code::take(from)?,
            pools: Code::take(from)?,
            nodes: nodes(Code::take(from)?, kept),
            allocation: Allocation::Recorded,
            restored: true,
            ..Snapshot::empty(node)
        })
    })
}

fn nodes(members: Vec<Node>, kept: &Kept) -> Option<Arc<Nodes>> {
    let is_known = !members.is_empty() && (members.len() == 1 || kept.secret.is_some());
    is_known.then(|| Arc::new(Nodes::joined(kept.secret.clone(), members)))
}

/// A value that takes all of a payload.
fn whole<T>(
    payload: &[u8],
    keys: &Keys,
    take: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, Unsound> {
    let mut from = Reader::new(payload, keys);
    let value = take(&mut from).ok_or(Unsound::Contents)?;
    if from.is_at_end() {
        Ok(value)
    } else {
        Err(Unsound::Contents)
    }
}

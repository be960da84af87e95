//! What the two files hold.

use std::sync::Arc;

use super::code::{Code, Keys, Reader};
use super::seal::{Magic, Unsound, open, seal};
use super::values::fingerprint;
use crate::digest::Nodes;
use crate::model::PrivateKey;
use crate::source::kube::client::Identity;
use crate::translate::{Allocation, Snapshot};

/// The files of a snapshot.
#[derive(Debug)]
pub struct Files {
    /// All but private keys.
    pub snapshot: Vec<u8>,
    /// Private keys.
    pub keys: Vec<u8>,
}

/// A snapshot of the cluster of this identity as files.
pub fn encode(snapshot: &Snapshot, identity: &Identity) -> Files {
    // What is not written: this node's name and the time are the reader's; nodes and what could not be read are
    // asked for anew; how addresses are given out is this source's way.
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
        nodes: _,
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
    let pairs = secrets.iter().filter_map(|entry| entry.value.pair.as_ref());
    let keys = pairs.filter(|pair| pair.certificate.key != PrivateKey::Gone);
    let keys = keys.filter_map(|pair| {
        let certificate = &pair.certificate;
        Some((fingerprint(&certificate.chain)?, certificate.key.clone()))
    });
    let keys: Keys = keys.collect();
    let mut secret = Vec::new();
    keys.into_iter().collect::<Vec<_>>().put(&mut secret);
    Files {
        snapshot: seal(Magic::Snapshot, identity, &payload),
        keys: seal(Magic::Keys, identity, &secret),
    }
}

/// The keys of a file.
pub fn keys(file: &[u8], identity: &Identity) -> Result<Keys, Unsound> {
    let payload = open(Magic::Keys, identity, file)?;
    let keys: Vec<_> = whole(payload, &Keys::new(), Code::take)?;
    Ok(keys.into_iter().collect())
}

/// The snapshot of a file, of no certain time, for a fleet of `node` alone.
pub fn decode(file: &[u8], keys: &Keys, identity: &Identity, node: &Arc<str>) -> Result<Snapshot, Unsound> {
    let payload = open(Magic::Snapshot, identity, file)?;
    whole(payload, keys, |from| {
        Some(Snapshot {
            ingresses: Code::take(from)?,
            classes: Code::take(from)?,
            default_class: Code::take(from)?,
            services: Code::take(from)?,
            endpoints: Code::take(from)?,
            secrets: Code::take(from)?,
            pools: Code::take(from)?,
            nodes: Some(Arc::new(Nodes::alone(node))),
            allocation: Allocation::Recorded,
            restored: true,
            ..Snapshot::empty(node)
        })
    })
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

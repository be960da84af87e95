//! What the source has: how many objects of each kind, and when each key pair ends.

use std::collections::BTreeMap;

use crate::translate::Snapshot;

/// Of the last snapshot.
#[derive(Debug, Default)]
pub struct Inventory {
    /// How many objects there are, by kind.
    pub(super) objects: Vec<(&'static str, u64)>,
    /// When each Secret's certificate ends, in seconds since 1970, by namespace and name.
    pub(super) certificates: BTreeMap<[std::sync::Arc<str>; 2], i64>,
}

impl From<&Snapshot> for Inventory {
    fn from(snapshot: &Snapshot) -> Self {
        let pairs = snapshot.secrets.iter().filter_map(|secret| {
            let object = &secret.value.object;
            let pair = secret.value.pair.as_ref()?;
            Some(([object.namespace.clone(), object.name.clone()], pair.not_after))
        });
        Self {
            objects: vec![
                ("Ingress", snapshot.ingresses.len() as u64),
                ("IngressClass", snapshot.classes.len() as u64),
                ("Service", snapshot.services.len() as u64),
                ("EndpointSlice", snapshot.endpoints.len() as u64),
                ("Secret", snapshot.secrets.len() as u64),
                ("VipPool", snapshot.pools.len() as u64),
            ],
            certificates: pairs.collect(),
        }
    }
}

//! Our maps by their names and types.
//!
//! In: the pins. Out: handles that read and write the shared types. It knows no plan; what is written when is
//! decided elsewhere.

use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};
use ingress_common::{Heartbeat, Ip, Node, Peer, Settings, Traffic, VipAddress};

use super::pins::Pins;
use super::sys::{Batch, Map, SysError};

/// The maps' names: in the object, in the kernel and of their pins.
pub mod name {
    pub const VIP_ADDRS: &str = "VIP_ADDRS";
    pub const SLOTS: &str = "SLOTS";
    pub const BACKENDS: &str = "BACKENDS";
    pub const NODES: &str = "NODES";
    pub const PEERS: &str = "PEERS";
    pub const CONFIG: &str = "CONFIG";
    pub const HEARTBEAT: &str = "HEARTBEAT";
    pub const REASONS: &str = "REASONS";
    pub const VIP_TRAFFIC: &str = "VIP_TRAFFIC";
    pub const NODE_TRAFFIC: &str = "NODE_TRAFFIC";
    pub const LISTENERS: &str = "LISTENERS";

    /// All of them.
    pub const ALL: [&str; 11] = [
        VIP_ADDRS,
        SLOTS,
        BACKENDS,
        NODES,
        PEERS,
        CONFIG,
        HEARTBEAT,
        REASONS,
        VIP_TRAFFIC,
        NODE_TRAFFIC,
        LISTENERS,
    ];
}

/// A handle on each pinned map.
#[derive(Debug)]
pub struct Maps {
    /// Our addresses and their ports.
    pub vip_addrs: Table<Ip, VipAddress>,
    /// Slot tables, by pool number.
    pub slots: MapOfMaps,
    /// Backend maps, by VIP number.
    pub backends: MapOfMaps,
    /// How to reach each node, by number.
    pub nodes: Table<u32, Node>,
    /// Who may send through the tunnel, by outer address.
    pub peers: Table<Ip, Peer>,
    /// This node's settings, at 0.
    pub config: Table<u32, Settings>,
    /// The agent's last sign of life, at 0.
    pub heartbeat: Table<u32, Heartbeat>,
    /// What became of packets, by reason.
    pub reasons: PerCpu,
    /// What came for each VIP, by number.
    pub vip_traffic: PerCpu,
    /// What was sent to each node, by number.
    pub node_traffic: PerCpu,
    /// The listeners' sockets.
    pub listeners: Map,
}

impl Maps {
    /// Opens the pins.
    pub fn open(pins: &Pins) -> Result<Self, SysError> {
        let open = |name| Map::open(&pins.map(name));
        Ok(Self {
            vip_addrs: Table::new(open(name::VIP_ADDRS)?),
            slots: MapOfMaps(open(name::SLOTS)?),
            backends: MapOfMaps(open(name::BACKENDS)?),
            nodes: Table::new(open(name::NODES)?),
            peers: Table::new(open(name::PEERS)?),
            config: Table::new(open(name::CONFIG)?),
            heartbeat: Table::new(open(name::HEARTBEAT)?),
            reasons: PerCpu(open(name::REASONS)?),
            vip_traffic: PerCpu(open(name::VIP_TRAFFIC)?),
            node_traffic: PerCpu(open(name::NODE_TRAFFIC)?),
            listeners: open(name::LISTENERS)?,
        })
    }
}

/// A map whose keys and values are of these types.
#[derive(Debug)]
pub struct Table<K, V> {
    map: Map,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Takes a map for one of these types; the first access tells if it is not.
    pub const fn new(map: Map) -> Self {
        Self {
            map,
            types: PhantomData,
        }
    }

    /// Another handle on the same map.
    pub fn try_clone(&self) -> Result<Self, SysError> {
        Ok(Self::new(self.map.try_clone()?))
    }

    /// A value; `None` when the key is not there.
    pub fn get(&self, key: &K) -> Result<Option<V>, SysError> {
        let mut value = V::zeroed();
        let found = self
            .map
            .lookup(bytemuck::bytes_of(key), bytemuck::bytes_of_mut(&mut value))?;
        Ok(found.then_some(value))
    }

    /// Writes a value.
    pub fn put(&self, key: &K, value: &V) -> Result<(), SysError> {
        self.map
            .update(bytemuck::bytes_of(key), bytemuck::bytes_of(value))
    }

    /// Removes a key, if it is there.
    pub fn remove(&self, key: &K) -> Result<(), SysError> {
        self.map.delete(bytemuck::bytes_of(key)).map(drop)
    }

    /// Every key with its value. Whoever writes meanwhile may make some be missed.
    pub fn entries(&self) -> Result<Vec<(K, V)>, SysError> {
        let mut entries = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        while let Some(next) = self.map.next_key(last.as_deref())? {
            let key = bytemuck::pod_read_unaligned(&next);
            if let Some(value) = self.get(&key)? {
                entries.push((key, value));
            }
            last = Some(next);
        }
        Ok(entries)
    }
}

/// An array of maps.
#[derive(Debug)]
pub struct MapOfMaps(Map);

impl MapOfMaps {
    /// The number that the kernel gave to the inner map at an index.
    pub fn inner_id(&self, index: u16) -> Result<Option<u32>, SysError> {
        let mut id = 0u32;
        let found = self
            .0
            .lookup(&u32::from(index).to_ne_bytes(), bytemuck::bytes_of_mut(&mut id))?;
        Ok(found.then_some(id))
    }

    /// How many inner maps there can be.
    pub const fn capacity(&self) -> u32 {
        self.0.shape().max_entries
    }

    /// Puts inner maps in, by one call; returns when no program sees what was there before.
    pub fn put<'a>(&self, inner: impl IntoIterator<Item = (u16, &'a Map)>) -> Result<(), SysError> {
        use std::os::fd::AsRawFd;
        let mut batch = Batch::default();
        for (index, map) in inner {
            batch.keys.extend(u32::from(index).to_ne_bytes());
            batch.values.extend(map.fd().as_raw_fd().to_ne_bytes());
            batch.count += 1;
        }
        if batch.count == 0 {
            Ok(())
        } else {
            self.0.update_batch(&batch)
        }
    }

    /// Takes the inner map at an index out; returns when no program sees it any more.
    pub fn remove(&self, index: u16) -> Result<(), SysError> {
        self.0.delete(&u32::from(index).to_ne_bytes()).map(drop)
    }
}

/// A per-CPU array of counters.
#[derive(Debug)]
pub struct PerCpu(Map);

impl PerCpu {
    /// A counter's sum over all CPUs.
    pub fn sum(&self, index: u32) -> Result<Traffic, SysError> {
        let mut values = vec![Traffic::zeroed(); self.0.value_length() / size_of::<Traffic>()];
        self.0
            .lookup(&index.to_ne_bytes(), bytemuck::cast_slice_mut(&mut values))?;
        Ok(values.iter().fold(Traffic::zeroed(), |sum, value| Traffic {
            packets: sum.packets.wrapping_add(value.packets),
            bytes: sum.bytes.wrapping_add(value.bytes),
        }))
    }

    /// Sets a counter to zero, for a number that has a new meaning.
    pub fn clear(&self, index: u32) -> Result<(), SysError> {
        self.0
            .update(&index.to_ne_bytes(), &vec![0; self.0.value_length()])
    }
}

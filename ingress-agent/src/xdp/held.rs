//! What the maps hold: read from the pins at a start, kept in step with every write after it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingress_common::{
    Backend, MAX_POOLS, MAX_VIPS, Node, NodeState, PORT_TCP, Peer, Settings, SlotKey, SlotTable, VipAddress,
};

use super::maps::{MapOfMaps, Maps, Table};
use super::numbers::Numbers;
use super::pins::Pins;
use super::rendezvous::{self, Candidate};
use super::sys::{Map, SysError, remove};
use crate::model::{PoolName, Protocol, Vip};

/// What the maps hold.
#[derive(Debug)]
pub struct Held {
    /// The value of `CONFIG`.
    pub settings: Settings,
    /// `NODES` by number, without the absent ones.
    pub nodes: BTreeMap<u16, Node>,
    /// `PEERS`.
    pub peers: BTreeMap<IpAddr, Peer>,
    /// `VIP_ADDRS`.
    pub addresses: BTreeMap<IpAddr, VipAddress>,
    /// The VIPs' numbers.
    pub vips: Numbers<Vip>,
    /// The inner maps of `BACKENDS`.
    pub backends: BTreeMap<Vip, Backends>,
    /// The pools' numbers.
    pub pools: Numbers<PoolName>,
    /// The inner maps of `SLOTS`.
    pub slots: BTreeMap<PoolName, Slots>,
}

/// A VIP's backend map.
#[derive(Debug)]
pub struct Backends {
    /// The inner map.
    pub table: Table<u32, Backend>,
    /// By node number, without the absent ones.
    pub entries: BTreeMap<u16, Backend>,
}

/// A pool's slot table.
#[derive(Debug)]
pub struct Slots {
    /// The inner map, held because nothing else may open it again.
    pub map: Map,
    /// The table's hash.
    pub digest: u64,
    /// What it was built from, unless it was found in the pins.
    pub built: Option<(SlotKey, Vec<Candidate>)>,
}

impl Held {
    /// Reads the pins, and removes those of inner maps that no outer map names: their writer ended between two steps.
    pub fn restore(maps: &Maps, pins: &Pins) -> Result<Self, SysError> {
        let (held, orphans) = Self::find(maps, pins)?;
        for orphan in orphans {
            remove(&orphan)?;
        }
        Ok(held)
    }

    /// Reads the pins and changes nothing.
    pub fn read(maps: &Maps, pins: &Pins) -> Result<Self, SysError> {
        Ok(Self::find(maps, pins)?.0)
    }

    fn find(maps: &Maps, pins: &Pins) -> Result<(Self, Vec<PathBuf>), SysError> {
        let mut orphans = Vec::new();
        let settings = maps.config.get(&0)?.unwrap_or_default();
        let nodes = maps.nodes.entries()?;
        let nodes = nodes
            .into_iter()
            .filter(|(_, node)| node.state != NodeState::Absent as u8);
        let addresses: BTreeMap<IpAddr, VipAddress> = maps
            .vip_addrs
            .entries()?
            .into_iter()
            .map(|(ip, value)| (IpAddr::from(ip), value))
            .collect();

        let mut backends = BTreeMap::new();
        let mut vip_numbers = Vec::new();
        for (pin, number, map) in inner(pins, "vips", &maps.backends, &mut orphans)? {
            if let Some(vip) = parse_vip(&pin) {
                vip_numbers.push((vip, number));
                backends.insert(vip, Backends::read(map)?);
            }
        }
        // An address may name a VIP whose pin is lost: its number stays taken until the address is written again.
        vip_numbers.extend(
            addresses
                .iter()
                .flat_map(|(address, value)| numbers_of(*address, value)),
        );

        let mut slots = BTreeMap::new();
        let mut pool_numbers = Vec::new();
        for (pin, number, map) in inner(pins, "slots", &maps.slots, &mut orphans)? {
            let pool: PoolName = Arc::from(pin);
            pool_numbers.push((Arc::clone(&pool), number));
            slots.insert(pool, Slots::read(map)?);
        }
        pool_numbers.extend(addresses.values().flat_map(lost_pools));

        let held = Self {
            settings,
            nodes: nodes
                .filter_map(|(number, node)| Some((u16::try_from(number).ok()?, node)))
                .collect(),
            peers: maps
                .peers
                .entries()?
                .into_iter()
                .map(|(ip, peer)| (IpAddr::from(ip), peer))
                .collect(),
            addresses,
            vips: Numbers::restore(1, limit(MAX_VIPS), vip_numbers),
            backends,
            pools: Numbers::restore(0, limit(MAX_POOLS), pool_numbers),
            slots,
        };
        Ok((held, orphans))
    }
}

fn limit(entries: u32) -> u16 {
    u16::try_from(entries).unwrap_or(u16::MAX)
}

/// The pools that an address names, by names that no pool has: where a pool's pin is lost, nobody else may have its number
/// until the address is written again. A pool that is known keeps its number, because of two names the first has it.
fn lost_pools(value: &VipAddress) -> impl Iterator<Item = (PoolName, u16)> {
    let ports = value.ports.iter().take(usize::from(value.count));
    ports.map(|port| (PoolName::from(format!(".lost-{}", port.pool)), port.pool))
}

/// The pinned inner maps that an outer map names, by pin, with their numbers.
fn inner(
    pins: &Pins,
    directory: &str,
    outer: &MapOfMaps,
    orphans: &mut Vec<PathBuf>,
) -> Result<Vec<(String, u16, Map)>, SysError> {
    let names = pins.list(directory)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut numbers = BTreeMap::new();
    for number in 0..limit(outer.capacity()) {
        if let Some(id) = outer.inner_id(number)? {
            numbers.insert(id, number);
        }
    }
    let mut found = Vec::new();
    for name in names {
        let pin = pins.dir().join(directory).join(&name);
        let Some(map) = open_if_there(&pin)? else { continue };
        match numbers.get(&map.shape().id) {
            Some(number) => found.push((name, *number, map)),
            None => orphans.push(pin),
        }
    }
    Ok(found)
}

/// A pinned map; `None` when it was removed since the directory was listed, by an agent that is at work.
pub fn open_if_there(pin: &Path) -> Result<Option<Map>, SysError> {
    match Map::open(pin) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
        result => result.map(Some),
    }
}

impl Backends {
    fn read(map: Map) -> Result<Self, SysError> {
        let table: Table<u32, Backend> = Table::new(map);
        let entries = table.entries()?;
        let entries = entries.into_iter().filter(|(_, backend)| backend.node != 0);
        let entries = entries
            .filter_map(|(number, backend)| Some((u16::try_from(number).ok()?, backend)))
            .collect();
        Ok(Self { table, entries })
    }
}

impl Slots {
    fn read(map: Map) -> Result<Self, SysError> {
        let mut table: Box<SlotTable> = bytemuck::allocation::zeroed_box();
        map.lookup(&0u32.to_ne_bytes(), bytemuck::bytes_of_mut(&mut *table))?;
        Ok(Self {
            map,
            digest: rendezvous::digest(&table),
            built: None,
        })
    }
}

/// The VIPs and numbers that an address's value names.
pub fn numbers_of(address: IpAddr, value: &VipAddress) -> impl Iterator<Item = (Vip, u16)> {
    let ports = value
        .ports
        .iter()
        .take(usize::from(value.count))
        .filter(|port| port.proto == PORT_TCP);
    ports.filter_map(move |port| {
        let vip = Vip {
            address,
            port: NonZeroU16::new(port.port.get())?,
            protocol: Protocol::Tcp,
        };
        Some((vip, port.vip))
    })
}

/// Reads `ADDRESS-PORT-PROTO`, as [`Vip`] is written.
pub fn parse_vip(pin: &str) -> Option<Vip> {
    let (rest, protocol) = pin.rsplit_once('-')?;
    let (address, port) = rest.rsplit_once('-')?;
    let vip = Vip {
        address: address.parse().ok()?,
        port: port.parse().ok()?,
        protocol: Protocol::Tcp,
    };
    (protocol == Protocol::Tcp.to_string()).then_some(vip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_s_name_is_a_vip_s() {
        for text in ["192.0.2.10-80-tcp", "2001:db8::10-443-tcp"] {
            assert_eq!(parse_vip(text).unwrap().to_string(), text);
        }
        for text in [
            "192.0.2.10-80-udp",
            "192.0.2.10-0-tcp",
            "192.0.2.10-80",
            "x-80-tcp",
            "192.0.2.10-80-tcp.new",
        ] {
            assert_eq!(parse_vip(text), None, "{text}");
        }
    }
}

//! Writing a plan into the maps, in an order in which no packet meets a name without its meaning.
//!
//! In: what is wanted, as values of the maps. Out: the maps, and [`Held`] in step with them. First what is named, then
//! what names it; for what goes, the reverse. A slot table and a set of a VIP's new backends are swapped whole; single
//! backends are written in place, because an entry is one word whose index keeps its meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ingress_common::{
    Backend, BackendState, Be16, Ip, Node, NodeState, PORT_TCP, Peer, PortPolicy, Settings, VipAddress,
    VipPort,
};

use super::btf::Types;
use super::diff::diff;
use super::held::{Backends, Held, Slots};
use super::load::{LoadError, inner_shape};
use super::maps::{Maps, Table, name};
use super::netlink::{Netlink, NetlinkError};
use super::pins::Pins;
use super::plan::Plan;
use super::rendezvous::{self, Candidate};
use super::route;
use super::sys::{self, Map, Shape, SysError};
use crate::model::{PoolName, Vip};

/// The handles that writing needs.
#[derive(Debug)]
pub struct Writer {
    maps: Maps,
    pins: Pins,
    types: Types,
    backends: Shape,
    slots: Shape,
    /// A backend map without an entry, in place of those that go: many are swapped by one call and one wait for running
    /// programs, where each deletion waits by itself.
    nobody: Map,
    held: Held,
}

/// What the maps should hold.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The VIPs of the plan that can be served.
    pub vips: BTreeMap<Vip, PoolName>,
    /// The value of `CONFIG`.
    pub settings: Settings,
    /// The values of `NODES`.
    pub nodes: BTreeMap<u16, Node>,
    /// The values of `PEERS`.
    pub peers: BTreeMap<IpAddr, Peer>,
    /// The VIP addresses' routes, with their source.
    pub routes: BTreeMap<IpAddr, Option<IpAddr>>,
}

impl Wanted<'_> {
    /// A pool's members as the entries of a VIP's backend map, by number.
    fn backends(&self, pool: &PoolName) -> BTreeMap<u16, Backend> {
        let members = self.plan.pools.get(pool).into_iter().flatten();
        let entry = |member: &Candidate| {
            let state = if member.active {
                BackendState::Active
            } else {
                BackendState::Draining
            };
            let backend = Backend {
                node: member.number,
                state: state as u8,
                reserved: 0,
            };
            (member.number, backend)
        };
        members.map(entry).collect()
    }
}

/// Why not everything was written. What was written before stays, and is consistent.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A map or a pin.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A route.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// No number is left. The plan's limits keep this from happening.
    #[error("there is no free number for {0}")]
    Numbers(String),
}

impl Writer {
    /// Opens the maps and reads what they hold.
    pub fn open(pins: Pins) -> Result<Self, LoadError> {
        let maps = Maps::open(&pins)?;
        let held = Held::restore(&maps, &pins)?;
        let (backends, slots) = (inner_shape(name::BACKENDS)?, inner_shape(name::SLOTS)?);
        let types = Types::load()?;
        let nobody = Map::create(
            backends,
            "BACKENDS_NONE",
            Some((&types.btf, types.index, types.backend)),
        )?;
        Ok(Self {
            maps,
            pins,
            types,
            backends,
            slots,
            nobody,
            held,
        })
    }

    /// The maps.
    pub const fn maps(&self) -> &Maps {
        &self.maps
    }

    /// What they hold.
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// Writes what differs.
    pub async fn write(&mut self, netlink: &Netlink, wanted: &Wanted<'_>) -> Result<(), WriteError> {
        self.put_nodes(&wanted.nodes)?;
        self.put_peers(&wanted.peers)?;
        if wanted.settings.node != 0 {
            self.put_settings(wanted.settings)?;
        }
        self.put_backends(wanted)?;
        self.put_slots(wanted.plan)?;
        let addresses = self.addresses(wanted)?;
        let routes = route::list(netlink).await?;
        for (address, source) in diff(&routes, &wanted.routes).put {
            route::add(netlink, address, source).await?;
        }
        self.put_addresses(&addresses)?;

        self.remove_addresses(&addresses)?;
        for address in diff(&routes, &wanted.routes).remove {
            route::remove(netlink, address).await?;
        }
        self.remove_backends(wanted)?;
        self.remove_slots(wanted.plan)?;
        self.put_settings(wanted.settings)?;
        self.remove_peers(&wanted.peers)?;
        self.remove_nodes(&wanted.nodes)?;
        Ok(())
    }

    /// Writes the nodes alone: their MAC addresses changed and nothing else.
    pub fn put_nodes(&mut self, nodes: &BTreeMap<u16, Node>) -> Result<(), SysError> {
        for (number, node) in diff(&self.held.nodes, nodes).put {
            self.maps.nodes.put(&u32::from(number), &node)?;
            let before = self.held.nodes.insert(number, node);
            let resolved = node.dmac != [0; 6];
            if node.state == NodeState::Peer as u8
                && before.is_none_or(|before| (before.dmac != [0; 6], before.state) != (resolved, node.state))
            {
                tracing::info!(node = number, address = %IpAddr::from(node.address), resolved, "peer");
            }
        }
        Ok(())
    }

    fn remove_nodes(&mut self, nodes: &BTreeMap<u16, Node>) -> Result<(), SysError> {
        for number in diff(&self.held.nodes, nodes).remove {
            self.maps.nodes.put(&u32::from(number), &Node::default())?;
            self.held.nodes.remove(&number);
        }
        Ok(())
    }

    fn put_peers(&mut self, peers: &BTreeMap<IpAddr, Peer>) -> Result<(), SysError> {
        for (address, peer) in diff(&self.held.peers, peers).put {
            self.maps.peers.put(&Ip::from(address), &peer)?;
            self.held.peers.insert(address, peer);
        }
        Ok(())
    }

    fn remove_peers(&mut self, peers: &BTreeMap<IpAddr, Peer>) -> Result<(), SysError> {
        for address in diff(&self.held.peers, peers).remove {
            self.maps.peers.remove(&Ip::from(address))?;
            self.held.peers.remove(&address);
        }
        Ok(())
    }

    fn put_settings(&mut self, settings: Settings) -> Result<(), SysError> {
        if self.held.settings != settings {
            self.maps.config.put(&0, &settings)?;
            self.held.settings = settings;
        }
        Ok(())
    }

    fn put_backends(&mut self, wanted: &Wanted<'_>) -> Result<(), WriteError> {
        let mut fresh = Vec::new();
        for (vip, pool) in &wanted.vips {
            let entries = wanted.backends(pool);
            if let Some(held) = self.held.backends.get_mut(vip) {
                for (number, backend) in diff(&held.entries, &entries).put {
                    held.table.put(&u32::from(number), &backend)?;
                    held.entries.insert(number, backend);
                }
                continue;
            }
            let number = self
                .held
                .vips
                .take(vip)
                .ok_or_else(|| WriteError::Numbers(vip.to_string()))?;
            self.maps.vip_traffic.clear(u32::from(number))?;
            fresh.push((*vip, number, self.new_backends(*vip, &entries)?, entries));
        }
        let inner = fresh.iter().map(|(_, number, map, _)| (*number, map));
        self.maps.backends.put(inner)?;
        for (vip, _, map, entries) in fresh {
            self.held.backends.insert(
                vip,
                Backends {
                    table: Table::new(map),
                    entries,
                },
            );
        }
        Ok(())
    }

    /// A backend map, filled and pinned, that no program sees yet.
    fn new_backends(&self, vip: Vip, entries: &BTreeMap<u16, Backend>) -> Result<Map, SysError> {
        let types = Some((&self.types.btf, self.types.index, self.types.backend));
        let map = Map::create(self.backends, "BACKENDS_VIP", types)?;
        for (number, backend) in entries {
            map.update(&u32::from(*number).to_ne_bytes(), bytemuck::bytes_of(backend))?;
        }
        map.pin(&self.pins.vip(vip))?;
        Ok(map)
    }

    fn remove_backends(&mut self, wanted: &Wanted<'_>) -> Result<(), SysError> {
        for (vip, pool) in &wanted.vips {
            let entries = wanted.backends(pool);
            if let Some(held) = self.held.backends.get_mut(vip) {
                for number in diff(&held.entries, &entries).remove {
                    held.table.put(&u32::from(number), &Backend::default())?;
                    held.entries.remove(&number);
                }
            }
        }
        let gone: Vec<(Vip, u16)> = self
            .held
            .vips
            .iter()
            .filter(|(vip, _)| !wanted.vips.contains_key(vip))
            .map(|(vip, number)| (*vip, number))
            .collect();
        self.maps
            .backends
            .put(gone.iter().map(|(_, number)| (*number, &self.nobody)))?;
        for (vip, _) in gone {
            sys::remove(&self.pins.vip(vip))?;
            self.held.backends.remove(&vip);
            self.held.vips.give_back(&vip);
        }
        Ok(())
    }

    fn put_slots(&mut self, plan: &Plan) -> Result<(), WriteError> {
        for (pool, members) in &plan.pools {
            let key = plan.keys.slot;
            let built = Some((key, members.clone()));
            let number = self
                .held
                .pools
                .take(pool)
                .ok_or_else(|| WriteError::Numbers(pool.to_string()))?;
            if let Some(held) = self.held.slots.get(pool)
                && held.built == built
            {
                continue;
            }
            let table = rendezvous::table(key, members);
            let digest = rendezvous::digest(&table);
            if let Some(held) = self.held.slots.get_mut(pool)
                && held.digest == digest
            {
                held.built = built;
                continue;
            }
            let types = Some((&self.types.btf, self.types.index, self.types.slot_table));
            let map = Map::create(self.slots, "SLOTS_POOL", types)?;
            map.update(&0u32.to_ne_bytes(), bytemuck::bytes_of(&*table))?;
            map.pin(&self.pins.slots(pool))?;
            self.maps.slots.put([(number, &map)])?;
            self.held.slots.insert(pool.clone(), Slots { map, digest, built });
            tracing::info!(
                pool = &**pool,
                members = members.len(),
                digest,
                "slot table swapped"
            );
        }
        Ok(())
    }

    fn remove_slots(&mut self, plan: &Plan) -> Result<(), SysError> {
        let gone: Vec<(PoolName, u16)> = self
            .held
            .pools
            .iter()
            .filter(|(pool, _)| !plan.pools.contains_key(*pool))
            .map(|(pool, number)| (pool.clone(), number))
            .collect();
        for (pool, number) in gone {
            self.maps.slots.remove(number)?;
            sys::remove(&self.pins.slots(&pool))?;
            self.held.slots.remove(&pool);
            self.held.pools.give_back(&pool);
        }
        Ok(())
    }

    /// The values of `VIP_ADDRS`.
    fn addresses(&self, wanted: &Wanted<'_>) -> Result<BTreeMap<IpAddr, VipAddress>, WriteError> {
        let mut addresses = BTreeMap::new();
        for (vip, pool) in &wanted.vips {
            let missing = || WriteError::Numbers(vip.to_string());
            let number = self.held.vips.get(vip).ok_or_else(missing)?;
            let pool = self.held.pools.get(pool).ok_or_else(missing)?;
            let address = addresses.entry(vip.address).or_insert(VipAddress {
                policy: PortPolicy::Drop as u8,
                ..VipAddress::default()
            });
            let port = VipPort {
                port: Be16::new(vip.port.get()),
                proto: PORT_TCP,
                flags: 0,
                vip: number,
                pool,
            };
            *address
                .ports
                .get_mut(usize::from(address.count))
                .ok_or_else(missing)? = port;
            address.count += 1;
        }
        Ok(addresses)
    }

    fn put_addresses(&mut self, addresses: &BTreeMap<IpAddr, VipAddress>) -> Result<(), SysError> {
        for (address, value) in diff(&self.held.addresses, addresses).put {
            self.maps.vip_addrs.put(&Ip::from(address), &value)?;
            self.held.addresses.insert(address, value);
            tracing::info!(%address, ports = value.count, "VIP address served");
        }
        Ok(())
    }

    fn remove_addresses(&mut self, addresses: &BTreeMap<IpAddr, VipAddress>) -> Result<(), SysError> {
        for address in diff(&self.held.addresses, addresses).remove {
            self.maps.vip_addrs.remove(&Ip::from(address))?;
            self.held.addresses.remove(&address);
            tracing::info!(%address, "VIP address no longer served");
        }
        Ok(())
    }

    /// The VIP addresses that packets are looked at for.
    pub fn served(&self) -> BTreeSet<IpAddr> {
        self.held.addresses.keys().copied().collect()
    }
}

//! The pinned maps in words: `ingress-agent maps`.
//!
//! In: a pin directory, whether an agent runs on it or not. Out: a value that is shown as text or as JSON. Secrets are
//! in the maps and never in here. It changes nothing.

mod text;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ingress_common::{BackendState, LAYOUT_VERSION, Node, NodeState, PORT_TCP, SlotTable, Traffic, VipPort};
use serde::Serialize;

use super::counters::Counters;
use super::held::{Held, open_if_there, parse_vip};
use super::maps::Maps;
use super::pins::Pins;
use super::sys::{SysError, monotonic_ns};
use crate::model::Vip;

/// Everything that the maps say.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The pin directory.
    pub pins: PathBuf,
    /// This node; `None` until an agent has applied a plan.
    pub own: Option<Own>,
    /// Milliseconds since the agent's last sign of life; `None` when it takes no new connections.
    pub heartbeat_age_ms: Option<u64>,
    /// The nodes, by number.
    pub nodes: BTreeMap<u16, NodeText>,
    /// The pools, by name.
    pub pools: BTreeMap<String, PoolText>,
    /// The VIPs, by `ADDRESS-PORT-PROTO`.
    pub vips: BTreeMap<String, VipText>,
    /// What became of packets, without the reasons that never occurred.
    pub reasons: BTreeMap<&'static str, Count>,
}

/// This node's settings.
#[derive(Clone, Debug, Serialize)]
pub struct Own {
    /// Its number.
    pub node: u16,
    /// Its outer addresses.
    pub outer: Vec<IpAddr>,
    /// The tunnel's UDP port.
    pub tunnel_port: u16,
    /// Low 16 bits of the membership's hash.
    pub generation: u16,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeText {
    /// `local`, `peer` or `down`.
    pub state: &'static str,
    /// Its outer address.
    pub address: IpAddr,
    /// How it is reached, for a peer.
    pub way: Option<Way>,
    /// What was sent to it.
    pub sent: Count,
}

/// How a peer is reached.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// This node's address towards it.
    pub source: IpAddr,
    /// The interface's number.
    pub interface: u32,
    /// The next hop's MAC address; `None` while it is not resolved.
    pub mac: Option<String>,
    /// In bytes of an IP packet.
    pub mtu: u16,
}

/// A pool.
#[derive(Clone, Debug, Serialize)]
pub struct PoolText {
    /// Its number.
    pub number: Option<u16>,
    /// How many of the 65,536 slots each node owns.
    pub slots: BTreeMap<u16, usize>,
}

/// A VIP.
#[derive(Clone, Debug, Serialize)]
pub struct VipText {
    /// Its number.
    pub number: u16,
    /// Its pool's name, or its number where the name is lost.
    pub pool: String,
    /// The nodes' states, by number.
    pub backends: BTreeMap<u16, &'static str>,
    /// What came for it.
    pub received: Count,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why the maps cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// No agent ran on this pin directory.
    #[error("there are no pins in {}; name the agent's directory with --pin-dir, or start an agent", dir.display())]
    NoPins {
        /// The pin directory.
        dir: PathBuf,
    },
    /// Another version's pins.
    #[error("the pins in {} have layout {found}, and this program reads layout {LAYOUT_VERSION}", dir.display())]
    Layout {
        /// The pin directory.
        dir: PathBuf,
        /// What they have.
        found: String,
    },
    /// A call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// Reads all pinned maps.
pub fn describe(pin_dir: &Path) -> Result<Description, DescribeError> {
    let dir = pin_dir.to_owned();
    let found = match fs::read_link(pin_dir.join("layout")) {
        Ok(found) => found.display().to_string(),
        Err(_) => return Err(DescribeError::NoPins { dir }),
    };
    if found != LAYOUT_VERSION.to_string() {
        return Err(DescribeError::Layout { dir, found });
    }
    let pins = Pins::at(pin_dir);
    let maps = Maps::open(&pins)?;
    let held = Held::read(&maps, &pins)?;
    let counters = Counters::read(&maps)?;

    let beat = maps.heartbeat.get(&0)?.unwrap_or_default().monotonic_ns;
    let age = (beat != 0).then(|| monotonic_ns().saturating_sub(beat) / 1_000_000);
    Ok(Description {
        own: own(&held),
        heartbeat_age_ms: age,
        nodes: held
            .nodes
            .iter()
            .map(|(number, node)| (*number, node_text(*number, node, &counters)))
            .collect(),
        pools: pools(&pins, &held)?,
        vips: vips(&held, &counters),
        reasons: reasons(&counters),
        pins: dir,
    })
}

fn own(held: &Held) -> Option<Own> {
    let settings = &held.settings;
    let outer = [settings.outer_v4, settings.outer_v6]
        .into_iter()
        .filter(|ip| !ip.is_unset());
    (settings.node != 0).then(|| Own {
        node: settings.node,
        outer: outer.map(IpAddr::from).collect(),
        tunnel_port: settings.tunnel_port.get(),
        generation: settings.generation,
    })
}

fn node_text(number: u16, node: &Node, counters: &Counters) -> NodeText {
    let state = match node.state {
        state if state == NodeState::Local as u8 => "local",
        state if state == NodeState::Peer as u8 => "peer",
        _ => "down",
    };
    let way = (node.state == NodeState::Peer as u8).then(|| Way {
        source: IpAddr::from(node.source),
        interface: node.ifindex,
        mac: (node.dmac != [0; 6]).then(|| mac(node.dmac)),
        mtu: node.mtu,
    });
    NodeText {
        state,
        address: IpAddr::from(node.address),
        way,
        sent: count(counters.nodes.get(&number)),
    }
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn pools(pins: &Pins, held: &Held) -> Result<BTreeMap<String, PoolText>, SysError> {
    let mut pools = BTreeMap::new();
    for name in pins.list("slots")? {
        let Some(map) = open_if_there(&pins.slots(&name))? else {
            continue;
        };
        let mut table: Box<SlotTable> = bytemuck::allocation::zeroed_box();
        map.lookup(&0u32.to_ne_bytes(), bytemuck::bytes_of_mut(&mut *table))?;
        let mut slots = BTreeMap::new();
        for slot in &table.slots {
            *slots.entry(slot.owner).or_default() += 1;
        }
        let number = held.pools.get(&name.as_str().into());
        pools.insert(name, PoolText { number, slots });
    }
    Ok(pools)
}

fn vips(held: &Held, counters: &Counters) -> BTreeMap<String, VipText> {
    let pool_name = |number: u16| {
        let name = held
            .pools
            .iter()
            .find(|(_, other)| *other == number)
            .map(|(name, _)| name.to_string());
        name.unwrap_or_else(|| format!("number {number}"))
    };
    let mut vips = BTreeMap::new();
    for (address, value) in &held.addresses {
        for port in value
            .ports
            .iter()
            .take(usize::from(value.count))
            .filter(|port| port.proto == PORT_TCP)
        {
            let Some(vip) = vip(*address, port) else { continue };
            let backends = held.backends.get(&vip).map(|backends| &backends.entries);
            let backends = backends
                .into_iter()
                .flatten()
                .map(|(number, backend)| (*number, state(backend.state)));
            let text = VipText {
                number: port.vip,
                pool: pool_name(port.pool),
                backends: backends.collect(),
                received: count(counters.vips.get(&vip)),
            };
            vips.insert(vip.to_string(), text);
        }
    }
    vips
}

fn vip(address: IpAddr, port: &VipPort) -> Option<Vip> {
    parse_vip(&format!("{address}-{}-tcp", port.port.get()))
}

fn state(state: u8) -> &'static str {
    match state {
        state if state == BackendState::Active as u8 => "active",
        state if state == BackendState::Draining as u8 => "draining",
        state if state == BackendState::Down as u8 => "down",
        _ => "absent",
    }
}

fn reasons(counters: &Counters) -> BTreeMap<&'static str, Count> {
    let seen = counters
        .reasons
        .iter()
        .filter(|(_, traffic)| traffic.packets != 0);
    seen.map(|(reason, traffic)| (reason.name(), count(Some(traffic))))
        .collect()
}

fn count(traffic: Option<&Traffic>) -> Count {
    traffic
        .map(|traffic| Count {
            packets: traffic.packets,
            bytes: traffic.bytes,
        })
        .unwrap_or_default()
}

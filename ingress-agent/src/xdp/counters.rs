//! What the programs counted, by the names of things.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ingress_common::{NodeState, Reason, Traffic};

use super::held::numbers_of;
use super::maps::Maps;
use super::sys::SysError;
use crate::model::Vip;

/// All counters, summed over the CPUs. They count from the first start on these pins.
#[derive(Clone, Debug)]
pub struct Counters {
    /// What became of packets. Every packet that an interface of ours received is in exactly one.
    pub reasons: Vec<(Reason, Traffic)>,
    /// Packets for each VIP.
    pub vips: BTreeMap<Vip, Traffic>,
    /// Packets sent to each other node, by number.
    pub nodes: BTreeMap<u16, Traffic>,
}

impl Counters {
    /// Reads them. Counting goes on meanwhile, so that sums of different counters may differ by a few packets.
    pub fn read(maps: &Maps) -> Result<Self, SysError> {
        let mut reasons = Vec::new();
        for reason in Reason::ALL {
            reasons.push((*reason, maps.reasons.sum(*reason as u32)?));
        }
        let mut vips = BTreeMap::new();
        for (address, value) in maps.vip_addrs.entries()? {
            for (vip, number) in numbers_of(IpAddr::from(address), &value) {
                vips.insert(vip, maps.vip_traffic.sum(u32::from(number))?);
            }
        }
        let mut nodes = BTreeMap::new();
        for (number, node) in maps.nodes.entries()? {
            if let Ok(index) = u16::try_from(number)
                && node.state != NodeState::Absent as u8
            {
                nodes.insert(index, maps.node_traffic.sum(number)?);
            }
        }
        Ok(Self { reasons, vips, nodes })
    }
}

//! What the programs counted, read when it is asked for, and how many addresses are announced.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Writer;
use crate::xdp::counters::Counters;
use crate::xdp::maps::Maps;

/// The kernel's side.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The programs' counters; `None`: they could not be read, which is logged.
    counters: Option<Counters>,
    announced: usize,
}

impl Kernel {
    pub(super) fn of(maps: &Maps, announced: usize) -> Self {
        let counters = Counters::read(maps);
        if let Err(error) = &counters {
            tracing::warn!(%error, "the programs' counters are not among the metrics");
        }
        Self {
            counters: counters.ok(),
            announced,
        }
    }
}

impl Collector for Kernel {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        writer.gauge(
            "announced_addresses",
            "VIP addresses that this node announces",
            self.announced as u64,
        )?;
        let Some(Counters { reasons, vips, nodes }) = &self.counters else {
            return Ok(());
        };
        let reason = |bytes: bool| {
            reasons.iter().map(move |(reason, traffic)| {
                let count = if bytes { traffic.bytes } else { traffic.packets };
                ([("reason", reason.name())], count)
            })
        };
        writer.counters("xdp_packets", "Packets by what became of them", reason(false))?;
        writer.counters("xdp_bytes", "Their bytes, from the Ethernet header", reason(true))?;
        let vip = |bytes: bool| {
            vips.iter().map(move |(vip, traffic)| {
                let count = if bytes { traffic.bytes } else { traffic.packets };
                ([("vip", vip.to_string())], count)
            })
        };
        writer.counters("xdp_vip_packets", "Packets for each VIP", vip(false))?;
        writer.counters("xdp_vip_bytes", "Their bytes", vip(true))?;
        let node = |bytes: bool| {
            nodes.iter().map(move |(node, traffic)| {
                let count = if bytes { traffic.bytes } else { traffic.packets };
                ([("node", node.to_string())], count)
            })
        };
        writer.counters(
            "xdp_node_packets",
            "Packets sent to each other node, by its number",
            node(false),
        )?;
        writer.counters("xdp_node_bytes", "Their bytes", node(true))
    }
}

#[cfg(test)]
mod tests {
    use ingress_common::{Reason, Traffic};
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::model::{Protocol, Vip};

    #[test]
    fn every_counter_by_its_name() {
        let traffic = |packets, bytes| Traffic { packets, bytes };
        let vip = Vip {
            address: "192.0.2.1".parse().unwrap(),
            port: 80.try_into().unwrap(),
            protocol: Protocol::Tcp,
        };
        let counters = Counters {
            reasons: Reason::ALL
                .iter()
                .map(|reason| (*reason, traffic(3, 300)))
                .collect(),
            vips: [(vip, traffic(2, 200))].into(),
            nodes: [(7, traffic(1, 100))].into(),
        };
        let mut registry = Registry::with_prefix("p");
        registry.register_collector(Box::new(Kernel {
            counters: Some(counters),
            announced: 4,
        }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for reason in Reason::ALL {
            let name = reason.name();
            assert!(
                text.contains(&format!("p_xdp_packets_total{{reason=\"{name}\"}} 3\n")),
                "{text}"
            );
            assert!(
                text.contains(&format!("p_xdp_bytes_total{{reason=\"{name}\"}} 300\n")),
                "{text}"
            );
        }
        for line in [
            "p_announced_addresses 4\n",
            "p_xdp_vip_packets_total{vip=\"192.0.2.1-80-tcp\"} 2\n",
            "p_xdp_vip_bytes_total{vip=\"192.0.2.1-80-tcp\"} 200\n",
            "p_xdp_node_packets_total{node=\"7\"} 1\n",
            "p_xdp_node_bytes_total{node=\"7\"} 100\n",
        ] {
            assert!(text.contains(line), "no {line:?} in {text}");
        }
    }
}

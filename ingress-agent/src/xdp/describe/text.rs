//! A description as text, for people.

use std::fmt;

use ingress_common::{HEARTBEAT_FRESH_NS, SLOTS};

use super::{Count, Description, NodeText};

const FRESH_MS: u64 = HEARTBEAT_FRESH_NS / 1_000_000;

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pins in {}", self.pins.display())?;
        match &self.own {
            None => writeln!(f, "this node: not configured; packets pass untouched")?,
            Some(own) => {
                let outer: Vec<String> = own.outer.iter().map(ToString::to_string).collect();
                writeln!(
                    f,
                    "this node: number {}, tunnels from {} port {}, membership {:04x}",
                    own.node,
                    outer.join(" and "),
                    own.tunnel_port,
                    own.generation
                )?;
            }
        }
        match self.heartbeat_age_ms {
            None => writeln!(f, "agent: stopped or draining; new connections go to other nodes")?,
            Some(age) if age <= FRESH_MS => writeln!(f, "agent: alive {age} ms ago; takes new connections")?,
            Some(age) => writeln!(f, "agent: silent for {age} ms; new connections go to other nodes")?,
        }
        writeln!(f, "nodes:")?;
        for (number, node) in &self.nodes {
            writeln!(f, "  {number}  {node}")?;
        }
        writeln!(f, "pools:")?;
        for (name, pool) in &self.pools {
            let shares = pool.slots.iter().map(|(node, slots)| share(*node, *slots));
            writeln!(f, "  {name}  {}", shares.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(f, "VIPs:")?;
        for (name, vip) in &self.vips {
            let backends = vip
                .backends
                .iter()
                .map(|(node, state)| format!("node {node} {state}"));
            let backends = backends.collect::<Vec<_>>().join(", ");
            writeln!(
                f,
                "  {name}  pool {}; {backends}; received {}",
                vip.pool, vip.received
            )?;
        }
        writeln!(f, "packets:")?;
        for (reason, count) in &self.reasons {
            writeln!(f, "  {reason}  {count}")?;
        }
        Ok(())
    }
}

fn share(node: u16, slots: usize) -> String {
    let permille = (slots * 1000 + SLOTS / 2) / SLOTS;
    let name = if node == 0 {
        "nobody".to_owned()
    } else {
        format!("node {node}")
    };
    format!("{name} {}.{} %", permille / 10, permille % 10)
}

impl fmt::Display for NodeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.state, self.address)?;
        if let Some(way) = &self.way {
            let mac = way.mac.as_deref().unwrap_or("not resolved");
            write!(
                f,
                " from {} by interface {}, next hop {mac}, MTU {}",
                way.source, way.interface, way.mtu
            )?;
        }
        if self.sent != Count::default() {
            write!(f, "; sent {}", self.sent)?;
        }
        Ok(())
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} bytes", self.packets, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::super::{NodeText, Own, PoolText, VipText, Way};
    use super::*;

    #[test]
    fn everything_is_in_words() {
        let description = Description {
            pins: PathBuf::from("/pins"),
            own: Some(Own {
                node: 1,
                outer: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
                tunnel_port: 6080,
                generation: 0xab,
            }),
            heartbeat_age_ms: Some(40),
            nodes: BTreeMap::from([(
                2,
                NodeText {
                    state: "peer",
                    address: "10.0.0.2".parse().unwrap(),
                    way: Some(Way {
                        source: "10.0.0.1".parse().unwrap(),
                        interface: 5,
                        mac: None,
                        mtu: 1500,
                    }),
                    sent: Count {
                        packets: 3,
                        bytes: 200,
                    },
                },
            )]),
            pools: BTreeMap::from([(
                "p".to_owned(),
                PoolText {
                    number: Some(0),
                    slots: BTreeMap::from([(1, SLOTS / 4), (2, SLOTS * 3 / 4)]),
                },
            )]),
            vips: BTreeMap::from([(
                "192.0.2.10-80-tcp".to_owned(),
                VipText {
                    number: 1,
                    pool: "p".to_owned(),
                    backends: BTreeMap::from([(1, "active"), (2, "draining")]),
                    received: Count::default(),
                },
            )]),
            reasons: BTreeMap::from([(
                "not_vip",
                Count {
                    packets: 7,
                    bytes: 700,
                },
            )]),
        };
        let expected = "pins in /pins\n\
            this node: number 1, tunnels from 10.0.0.1 and fd00::1 port 6080, membership 00ab\n\
            agent: alive 40 ms ago; takes new connections\n\
            nodes:\n  2  peer  10.0.0.2 from 10.0.0.1 by interface 5, next hop not resolved, MTU 1500; sent 3 packets, 200 bytes\n\
            pools:\n  p  node 1 25.0 %, node 2 75.0 %\n\
            VIPs:\n  192.0.2.10-80-tcp  pool p; node 1 active, node 2 draining; received 0 packets, 0 bytes\n\
            packets:\n  not_vip  7 packets, 700 bytes\n";
        assert_eq!(description.to_string(), expected);
    }
}

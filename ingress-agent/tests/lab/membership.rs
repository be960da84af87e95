//! A thousand live connections while nodes join, drain, leave and return.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use xtask::lab::NodeState::{Active, Draining};
use xtask::lab::{Agent, Connections, Held, Lab, NodeState, VIP_V4, VIP_V6};

use super::{eventually, lab};

/// How often each connection asks.
const PACE: Duration = Duration::from_secs(2);
/// How long a round of answers may take on a busy machine.
const ROUND: Duration = Duration::from_secs(30);

#[test]
fn no_connection_is_reset_while_its_owner_lives() {
    let Some(lab) = lab(4) else { return };
    let mut fleet = Fleet {
        lab: &lab,
        members: BTreeMap::new(),
        agents: Vec::new(),
    };
    fleet.join(1);
    fleet.join(2);
    let old = open(&lab, 1000);
    all_live("before any change", &old, &[]);

    for node in [3, 4] {
        fleet.join(node);
        all_live("a node joined", &old, &[]);
        let young = open(&lab, 120);
        let owned = young
            .iter()
            .flat_map(Connections::held)
            .filter(|held| held.owner == Some(node))
            .count();
        assert!(
            owned > 10,
            "node{node} gets its share of new connections, not {owned} of 120"
        );

        fleet.set(node, Draining);
        all_live("a node drains", &old, &[]);
        all_live("a node drains, and keeps its own", &young, &[]);

        fleet.leave(node);
        all_live("a node left", &old, &[]);
        all_live("a node left, and took only its own", &young, &[node]);

        fleet.join(node);
        all_live("a node returned", &old, &[]);
        all_live("a node returned", &young, &[node]);
    }
    for connections in old {
        let held = connections.close().unwrap();
        assert!(
            held.iter().all(|held| matches!(held.owner, Some(1 | 2))),
            "an owner never changes"
        );
    }
}

/// The nodes that are members, and their agents.
struct Fleet<'a> {
    lab: &'a Lab,
    members: BTreeMap<u8, NodeState>,
    agents: Vec<Agent>,
}

impl Fleet<'_> {
    /// A node joins: known to all first, then running, then active, then on the router's list.
    fn join(&mut self, node: u8) {
        self.set(node, Draining);
        self.agents.push(self.lab.spawn_agent(node, &[]).unwrap());
        self.set(node, Active);
        self.enter();
    }

    /// A draining node leaves: off the router's list first, then its agent ends, then it is forgotten.
    fn leave(&mut self, node: u8) {
        self.members.remove(&node);
        self.enter();
        let position = self
            .agents
            .iter()
            .position(|agent| agent.number() == node)
            .unwrap();
        let status = self
            .agents
            .remove(position)
            .terminate(Duration::from_secs(20))
            .unwrap();
        assert!(status.success(), "{status}");
        self.publish();
    }

    fn set(&mut self, node: u8, state: NodeState) {
        self.members.insert(node, state);
        self.publish();
    }

    fn publish(&self) {
        let members: Vec<_> = self.members.iter().map(|(&node, &state)| (node, state)).collect();
        self.lab.manifests().set_nodes(&members).unwrap();
        // A connection that is opened meanwhile may get the owner it would have had before: to it, the
        // change counts as one of the three that it can outlive.
        for agent in &self.agents {
            eventually("a membership is in effect", Duration::from_secs(10), || {
                is_in_effect(&agent.maps().unwrap(), &self.members)
            });
        }
    }

    fn enter(&self) {
        let members: Vec<_> = self.members.keys().copied().collect();
        self.lab.router().enter_at(&members).unwrap();
    }
}

/// Whether `ingress-agent maps` shows these members, and a slot table with their active ones as owners.
fn is_in_effect(maps: &str, members: &BTreeMap<u8, NodeState>) -> bool {
    let line = |start: &str| {
        maps.lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap_or_default()
    };
    let (slots, vip) = (line("lab "), line("192.0.2.10-80-tcp "));
    let has_active = members.values().any(|state| *state == Active);
    members.iter().all(|(node, state)| {
        let word = if *state == Active { "active" } else { "draining" };
        let owns = slots.contains(&format!("node {node} "));
        vip.contains(&format!("node {node} {word}")) && owns == (*state == Active || !has_active)
    }) && vip.matches("node ").count() == members.len()
}

/// Opens connections, three of five to the IPv4 VIP.
fn open(lab: &Lab, count: usize) -> [Connections; 2] {
    [(VIP_V4, count * 3 / 5), (VIP_V6, count * 2 / 5)].map(|(vip, count)| {
        Connections::open(
            lab.client(),
            SocketAddr::new(vip, 80),
            "shop.example.test",
            count,
            PACE,
        )
        .unwrap()
    })
}

/// Every connection answers a request sent from now on, but those of owners that are gone.
fn all_live(when: &str, connections: &[Connections], gone: &[u8]) {
    for connections in connections {
        // The first answer may be to a request of before.
        connections.wait_for_answers(2, ROUND).unwrap();
        let held = connections.held();
        let ended: Vec<_> = held.iter().filter(|held| is_lost(held, gone)).collect();
        assert!(
            ended.is_empty(),
            "{when}: {} of {} ended: {ended:?}",
            ended.len(),
            held.len()
        );
    }
}

fn is_lost(held: &Held, gone: &[u8]) -> bool {
    held.end.is_some() && !held.owner.is_some_and(|owner| gone.contains(&owner))
}

//! The plan and the network, brought together: read everything, work out everything, write what differs.
//!
//! The same happens when a plan is applied, when the kernel tells of a change, and every few seconds in case something
//! was not told. Only word of neighbours is cheaper: it changes nothing but MAC addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_common::{Be16, Ip, Settings};
use tokio::sync::watch;

use super::Options;
use super::announce::{Announcer, Phase, Table, announcements};
use super::attach::{self, AttachError};
use super::keys::tunnel_keys;
use super::load::Programs;
use super::neighbour::NeighbourKey;
use super::netlink::{Interface, Netlink, NetlinkError};
use super::node::{self, Mss, PeerProblem};
use super::pins::{Pins, Undo};
use super::plan::{Plan, PlanNode};
use super::reach::{self, Hops};
use super::route;
use super::sys::SysError;
use super::sysctl;
use super::writer::{Wanted, WriteError, Writer};
use crate::model::{PoolName, Vip};

/// What became of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// VIPs that are served.
    pub vips: usize,
    /// What could not be done, each for itself.
    pub refused: Vec<Refused>,
    /// What the listeners should announce; `None` with one node.
    pub mss: Option<Mss>,
    /// How long it took.
    pub took: Duration,
}

/// Something of a plan that could not be done here. Nothing else suffers from it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// A peer.
    #[error("node {node}: not sent to, because {problem}")]
    Peer {
        /// The peer.
        node: Arc<str>,
        /// Why.
        problem: PeerProblem,
    },
    /// The model says that this node has it.
    #[error(
        "this node's address {address} is on none of its interfaces, so that nothing sent to it arrives; correct the \
         node's addresses"
    )]
    Absent {
        /// The address.
        address: IpAddr,
    },
    /// A VIP that the node itself has as an address.
    #[error("VIP {vip}: not served here, because {} is an address of interface {interface}; take an address that no node has", vip.address)]
    Own {
        /// The VIP.
        vip: Vip,
        /// The interface.
        interface: String,
    },
    /// Another program's route is where the announcement should be.
    #[error(
        "VIP address {address}: not announced, because table {table} has a route to it that is not ours; remove that, \
         or take a table of our own by --announce-table"
    )]
    Announcement {
        /// The address.
        address: IpAddr,
        /// The table.
        table: Table,
    },
}

/// Why a plan is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Without these settings a VIP does harm, so none is served.
    #[error("no VIP is served, because an interface is not safe for one: {0}")]
    Unsafe(NetlinkError),
    /// The network cannot be asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The maps cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// An interface came back and does not take the program.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

impl From<SysError> for ApplyError {
    fn from(error: SysError) -> Self {
        Self::Write(WriteError::from(error))
    }
}

/// Everything that keeps the maps right.
#[derive(Debug)]
pub struct State {
    options: Options,
    pins: Pins,
    netlink: Netlink,
    programs: Programs,
    writer: Writer,
    announcer: Announcer,
    phase: Phase,
    plan: Option<Plan>,
    /// As of the last full reading.
    hops: Hops,
    interfaces: BTreeMap<u32, Interface>,
    /// What was refused last, so that it is told once.
    refused: Vec<Refused>,
}

impl State {
    pub(super) fn new(
        options: Options,
        pins: Pins,
        netlink: Netlink,
        programs: Programs,
        writer: Writer,
    ) -> Self {
        Self {
            announcer: Announcer::new(options.announce_table),
            phase: Phase::Serving,
            options,
            pins,
            netlink,
            programs,
            writer,
            plan: None,
            hops: Hops::new(),
            interfaces: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    pub(super) async fn apply(&mut self, plan: Plan) -> Result<Applied, ApplyError> {
        self.plan = Some(plan);
        self.settle().await
    }

    /// The listeners' MSS for what the maps hold.
    pub(super) fn mss(&self) -> Option<Mss> {
        let listed = self
            .interfaces
            .values()
            .filter(|interface| self.is_listed(interface));
        let fallback = listed.map(|interface| interface.mtu).min().unwrap_or(1500);
        node::mss(&self.writer.held().nodes, fallback)
    }

    /// Brings everything in line with the plan and the network as they are now.
    pub(super) async fn settle(&mut self) -> Result<Applied, ApplyError> {
        let start = Instant::now();
        let Some(plan) = self.plan.clone() else {
            return Ok(Applied::default());
        };
        self.interfaces = self.netlink.interfaces().await?;
        self.attach_again()?;
        let unsafe_for_vips = self.make_safe().await.err();
        let addresses = self.netlink.addresses().await?;
        self.hops = reach::hops(&self.netlink, &plan, &self.interfaces, &self.options.interfaces).await;
        let reach = reach::reach(&self.netlink, &self.hops, &self.interfaces).await?;

        let mut refused = self.refused_peers(&plan);
        let own = plan.own.and_then(|own| plan.nodes.get(&own));
        let absent = own
            .into_iter()
            .flat_map(PlanNode::outer)
            .filter(|address| !addresses.contains_key(address));
        refused.extend(absent.map(|address| Refused::Absent { address }));
        let mut vips = plan.vips.clone();
        vips.retain(|vip, _| match addresses.get(&vip.address) {
            None => unsafe_for_vips.is_none(),
            Some(interface) => {
                refused.push(Refused::Own {
                    vip: *vip,
                    interface: self.interface_name(*interface),
                });
                false
            }
        });
        let present: BTreeSet<IpAddr> = addresses.into_keys().collect();
        let wanted = Wanted {
            settings: self.settings(&plan),
            nodes: node::nodes(&plan, &reach),
            peers: node::peers(&plan),
            routes: routes(&plan, &vips, &present),
            vips,
            plan: &plan,
        };
        let served = wanted.vips.len();
        let announced = announcements(&plan, &wanted.vips, self.phase);
        // What cannot be withdrawn keeps nothing served that should not be.
        let withdrawn = self.announcer.withdraw(&self.netlink, &announced).await;
        let written = self.writer.write(&self.netlink, &wanted).await;
        if let Some(error) = unsafe_for_vips {
            return Err(ApplyError::Unsafe(error));
        }
        written?;
        withdrawn?;
        let taken = self.announcer.announce(&self.netlink, &announced).await?;
        let table = self.announcer.table();
        refused.extend(
            taken
                .into_iter()
                .map(|address| Refused::Announcement { address, table }),
        );
        self.tell(&refused);
        Ok(Applied {
            vips: served,
            refused,
            mss: self.mss(),
            took: start.elapsed(),
        })
    }

    /// Enters a phase, and withdraws what this node does not announce in it.
    pub(super) async fn enter(&mut self, phase: Phase) -> Result<(), NetlinkError> {
        self.phase = phase;
        let announced = self
            .plan
            .as_ref()
            .map(|plan| announcements(plan, &plan.vips, phase))
            .unwrap_or_default();
        self.announcer.withdraw(&self.netlink, &announced).await
    }

    /// The addresses that are announced.
    pub(super) fn announced(&self) -> watch::Receiver<BTreeSet<IpAddr>> {
        self.announcer.announced()
    }

    /// Brings the MAC addresses in line with the neighbours, if one of those that changed is a next hop.
    pub(super) async fn settle_neighbours(
        &mut self,
        changed: &BTreeSet<NeighbourKey>,
    ) -> Result<(), ApplyError> {
        if !self
            .hops
            .values()
            .flatten()
            .any(|hop| changed.contains(&(hop.interface, hop.neighbour)))
        {
            return Ok(());
        }
        let Some(plan) = self.plan.clone() else {
            return Ok(());
        };
        let reach = reach::reach(&self.netlink, &self.hops, &self.interfaces).await?;
        self.writer.put_nodes(&node::nodes(&plan, &reach))?;
        Ok(())
    }

    /// A listed interface that came back has no program yet.
    fn attach_again(&mut self) -> Result<(), AttachError> {
        let listed: Vec<Interface> = self
            .interfaces
            .values()
            .filter(|interface| self.is_listed(interface))
            .cloned()
            .collect();
        if listed.iter().all(|interface| interface.xdp.is_some()) {
            return Ok(());
        }
        // What is made here is wanted even if a later interface fails.
        let mut undo = Undo::default();
        let result = attach::attach_more(&mut self.programs, &self.pins, &listed, &mut undo);
        undo.keep();
        result
    }

    async fn make_safe(&self) -> Result<(), NetlinkError> {
        for interface in self
            .interfaces
            .values()
            .filter(|interface| self.is_listed(interface))
        {
            if sysctl::ensure(&self.netlink, interface).await? {
                tracing::info!(
                    interface = interface.name,
                    "arp_ignore=1, arp_announce=2, rp_filter=2 set"
                );
            }
        }
        Ok(())
    }

    fn refused_peers(&self, plan: &Plan) -> Vec<Refused> {
        let problems = self.hops.iter().filter_map(|(number, hop)| {
            let problem = hop.as_ref().err()?.clone();
            Some(Refused::Peer {
                node: Arc::clone(&plan.nodes.get(number)?.name),
                problem,
            })
        });
        problems.collect()
    }

    fn settings(&self, plan: &Plan) -> Settings {
        let Some((number, own)) = plan.own.and_then(|own| Some((own, plan.nodes.get(&own)?))) else {
            return Settings::default();
        };
        let held = self.writer.held().settings;
        let held = (held.node != 0).then_some(held.tunnel_keys);
        Settings {
            slot_key: plan.keys.slot,
            outer_v4: own.v4.map(|v4| Ip::from(IpAddr::V4(v4))).unwrap_or_default(),
            outer_v6: own.v6.map(|v6| Ip::from(IpAddr::V6(v6))).unwrap_or_default(),
            tunnel_keys: tunnel_keys(plan.keys.tunnel, held),
            node: number,
            tunnel_port: Be16::new(self.options.tunnel_port),
            generation: plan.low_generation(),
            reserved: 0,
        }
    }

    /// Connects anew, after a request had no answer.
    pub(super) fn reconnect(&mut self) -> Result<(), NetlinkError> {
        self.netlink = Netlink::connect()?;
        Ok(())
    }

    fn tell(&mut self, refused: &[Refused]) {
        for refusal in refused.iter().filter(|refusal| !self.refused.contains(refusal)) {
            tracing::warn!("{refusal}");
        }
        for refusal in self.refused.iter().filter(|refusal| !refused.contains(refusal)) {
            tracing::info!("no longer so: {refusal}");
        }
        refused.clone_into(&mut self.refused);
    }

    fn is_listed(&self, interface: &Interface) -> bool {
        self.options.interfaces.contains(&interface.name)
    }

    fn interface_name(&self, index: u32) -> String {
        self.interfaces
            .get(&index)
            .map_or_else(|| format!("number {index}"), |interface| interface.name.clone())
    }
}

fn routes(
    plan: &Plan,
    vips: &BTreeMap<Vip, PoolName>,
    present: &BTreeSet<IpAddr>,
) -> BTreeMap<IpAddr, Option<IpAddr>> {
    let own = plan.own.and_then(|own| plan.nodes.get(&own));
    let source = |vip| own.and_then(|own| route::source(vip, own.outer(), present));
    vips.keys()
        .map(|vip| (vip.address, source(vip.address)))
        .collect()
}

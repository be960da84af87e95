//! Announcement by routes: `blackhole VIP table N`, one for each VIP address whose packets this node should get, in a
//! table of ours that a BGP daemon exports (`deploy/bird.conf`).
//!
//! In: the plan, the VIPs that the maps serve, and the agent's phase of life. Out: routes of our protocol number, and no
//! others touched. The node's own lookups never see them: no rule leads to the table, and the local table, which is
//! asked before all others, has the VIPs already. They are `blackhole` because BIRD learns no `local` route, and because
//! such a route needs no interface.
//!
//! A route comes after the local route and the map entry, and goes before them. It comes back when somebody removes it,
//! as local routes do: whatever changes in the network, everything is looked at again.
//!
//! | what happens | the node's routes |
//! |---|---|
//! | its state becomes draining, or SIGTERM | gone before anything closes; its open connections come by the other nodes |
//! | the same, and no member of the pool is active | stay: nobody else would announce, and open connections would be cut off |
//! | the agent ends, also with an error | gone |
//! | the agent is killed | stay: its programs go on sending packets to the nodes that serve, as of then; the next agent keeps, adds and removes. Where none comes, `unload` the node: its maps grow old |
//! | a worker hangs | stay, for the same reason; new connections go to other nodes |
//! | the node dies | stay in nobody's table: its BGP session ends, by BFD or the hold time |
//! | `ingress-agent unload` | gone, from every table |

mod routes;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tokio::sync::watch;

use super::netlink::{Netlink, NetlinkError};
use super::plan::Plan;
use super::rendezvous::Candidate;
use crate::model::{PoolName, Vip};

pub use self::routes::{Route, list, remove};
pub use self::table::{Table, TableError};

/// What an agent is about, as far as announcing goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It takes new connections where it is active.
    Serving,
    /// It takes none any more and finishes what is open.
    Draining,
    /// It is about to end.
    Ended,
}

/// The addresses that this node announces, of the VIPs that it serves: those of the pools in which it is active, and
/// those of which it is a member when no member is active.
pub fn announcements(plan: &Plan, served: &BTreeMap<Vip, PoolName>, phase: Phase) -> BTreeSet<IpAddr> {
    let Some(own) = plan.own.filter(|_| phase != Phase::Ended) else {
        return BTreeSet::new();
    };
    let is_own = |member: &&Candidate| member.number == own;
    let takes = |member: &Candidate| member.active && !(member.number == own && phase == Phase::Draining);
    let announces = |members: &Vec<Candidate>| {
        let member = members.iter().find(is_own);
        member.is_some_and(|member| takes(member) || !members.iter().any(takes))
    };
    served
        .iter()
        .filter(|(_, pool)| plan.pools.get(*pool).is_some_and(announces))
        .map(|(vip, _)| vip.address)
        .collect()
}

/// Who of a pool's members announces its VIPs, where each is about what its state says: the active ones or, where none
/// is, all.
pub fn announcers(members: &[Candidate]) -> impl Iterator<Item = &Candidate> {
    let nobody = !members.iter().any(|member| member.active);
    members.iter().filter(move |member| member.active || nobody)
}

/// Keeps the table in line.
#[derive(Debug)]
pub(super) struct Announcer {
    table: Table,
    /// What an earlier agent left in other tables is looked for once.
    looked_everywhere: bool,
    announced: watch::Sender<BTreeSet<IpAddr>>,
}

impl Announcer {
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            looked_everywhere: false,
            announced: watch::Sender::default(),
        }
    }

    /// The table.
    pub(super) const fn table(&self) -> Table {
        self.table
    }

    /// The addresses that have a route of ours in the table, as of the last look.
    pub(super) fn announced(&self) -> watch::Receiver<BTreeSet<IpAddr>> {
        self.announced.subscribe()
    }

    /// Removes the routes of ours that are not wanted.
    pub(super) async fn withdraw(
        &mut self,
        netlink: &Netlink,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<(), NetlinkError> {
        let place = self.looked_everywhere.then_some(self.table);
        let (kept, gone): (BTreeSet<Route>, BTreeSet<Route>) = list(netlink, place)
            .await?
            .into_iter()
            .partition(|route| route.table == self.table && wanted.contains(&route.address));
        for route in gone {
            remove(netlink, route).await?;
            tracing::info!(address = %route.address, table = %route.table, "VIP address no longer announced");
        }
        self.looked_everywhere = true;
        self.found(kept.into_iter().map(|route| route.address).collect());
        Ok(())
    }

    /// Adds the routes that are wanted and that the last [`Self::withdraw`] did not find. Gives the addresses to which
    /// the table has a route of somebody else's.
    pub(super) async fn announce(
        &self,
        netlink: &Netlink,
        wanted: &BTreeSet<IpAddr>,
    ) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut announced = self.announced.borrow().clone();
        let mut taken = Vec::new();
        for address in wanted {
            if announced.contains(address) {
                continue;
            }
            let table = self.table;
            let route = Route {
                table,
                address: *address,
            };
            if routes::add(netlink, route).await? {
                tracing::info!(%address, %table, "VIP address announced");
                announced.insert(*address);
                self.found(announced.clone());
            } else {
                taken.push(*address);
            }
        }
        Ok(taken)
    }

    fn found(&self, announced: BTreeSet<IpAddr>) {
        self.announced.send_if_modified(|held| {
            let is_new = *held != announced;
            *held = announced;
            is_new
        });
    }
}

#[cfg(test)]
mod tests;

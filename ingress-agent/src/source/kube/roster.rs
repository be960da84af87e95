//! Which nodes there are, by what is heard of the Leases that their agents hold. A pure value: it knows no client
//! and no clock.
//!
//! A Lease is heard whenever it is another than before: renewed, or changed. What its holder's clock says means
//! nothing. One that was not heard for [`DURATION`] has ended, and its node is silent; when it is deleted, or
//! [`GONE`] later, its node is no member any more.
//!
//! An agent whose own Lease is not renewed judges nobody's: when the API server is away, all Leases fall silent. The
//! time that the others have begins anew when the own one is heard again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::shelf::HELD;
use crate::digest::lease::{self, Beat, DURATION, GONE, NodeLease, OWN_SILENCE};
use crate::digest::{Fault, Node};
use crate::model::{MemberState, ObjectRef};
use crate::translate::Finding;

/// The Leases of the fleet.
#[derive(Debug)]
pub(super) struct Roster {
    /// This node's name.
    own: Arc<str>,
    /// By the Lease's name.
    leases: BTreeMap<Arc<str>, Heard>,
    /// The names that the list under way has brought so far.
    listing: Option<BTreeSet<Arc<str>>>,
    listed: bool,
    /// While the own Lease is renewed.
    spell: Option<Spell>,
}

/// A time in which the own Lease was always renewed.
#[derive(Clone, Copy, Debug)]
struct Spell {
    begun: Instant,
    last: Instant,
}

#[derive(Debug)]
struct Heard {
    beat: Beat,
    /// The last version that could be read; `None`: there was none.
    value: Option<Arc<NodeLease>>,
    /// Why the last version could not be read.
    fault: Option<Fault>,
    at: Instant,
    ended: Option<Instant>,
    /// Whether it ended long ago.
    gone: bool,
    /// When a list first lacked it.
    lacking: Option<Instant>,
}

impl Roster {
    pub(super) fn new(own: &Arc<str>) -> Self {
        Self {
            own: Arc::clone(own),
            leases: BTreeMap::new(),
            listing: None,
            listed: false,
            spell: None,
        }
    }

    /// Whether a list was complete once.
    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// A list begins; one that was not complete counts for nothing.
    pub(super) fn list_begins(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    /// A list is complete: the time of what it lacks begins. Says whether that changes anything.
    pub(super) fn list_ends(&mut self, now: Instant) -> bool {
        let mut is_news = !std::mem::replace(&mut self.listed, true);
        let Some(there) = self.listing.take() else {
            return is_news;
        };
        let absent = self.leases.iter_mut().filter(|(name, _)| !there.contains(*name));
        for (_, heard) in absent {
            is_news |= heard.lacking.is_none();
            heard.lacking.get_or_insert(now);
        }
        is_news
    }

    /// A Lease came, with a list or by itself. Says whether anything is another now; that it was renewed is nothing.
    pub(super) fn put(&mut self, name: &str, beat: Beat, lease: Result<Lease, Fault>, now: Instant) -> bool {
        let name: Arc<str> = Arc::from(name);
        if let Some(listing) = &mut self.listing {
            listing.insert(Arc::clone(&name));
        }
        let last = self.leases.remove(&name);
        let last_value = last.as_ref().and_then(|last| last.value.as_ref());
        let (value, fault) = match lease {
            Ok(lease) => (Some(lease::digest(lease, last_value)), None),
            Err(fault) => (last_value.cloned(), Some(fault)),
        };
        let (at, ended, gone) = match &last {
            Some(last) if last.beat == beat => (last.at, last.ended, last.gone),
            Some(_) | None => (now, None, false),
        };
        let is_own = value.as_ref().is_some_and(|value| value.node == self.own);
        let mut is_news = at == now && is_own && self.hear_own(now);
        let heard = Heard {
            beat,
            value,
            fault,
            at,
            ended,
            gone,
            lacking: None,
        };
        is_news |= last.is_none_or(|last| !last.means_the_same_as(&heard));
        self.leases.insert(name, heard);
        is_news
    }

    /// Says whether others are judged from now on.
    fn hear_own(&mut self, now: Instant) -> bool {
        let unbroken = self.spell.filter(|spell| now < spell.last + OWN_SILENCE);
        self.spell = Some(Spell {
            begun: unbroken.map_or(now, |spell| spell.begun),
            last: now,
        });
        unbroken.is_none()
    }

    /// The API server says that a Lease was deleted. Says whether it was there.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        self.leases.remove(name).is_some()
    }

    /// Marks what has ended by `now`, and lets go of what lists have lacked for long enough.
    pub(super) fn judge(&mut self, now: Instant) {
        self.leases
            .retain(|_, heard| heard.lacking.is_none_or(|since| now < since + HELD));
        let Some(spell) = self.spell.filter(|spell| now < spell.last + OWN_SILENCE) else {
            return;
        };
        for heard in self.leases.values_mut() {
            match heard.ended {
                None if now >= heard.at.max(spell.begun) + DURATION => heard.ended = Some(now),
                Some(ended) if now >= ended.max(spell.begun) + GONE => heard.gone = true,
                None | Some(_) => {}
            }
        }
    }

    /// When [`Roster::judge`], or who is a member, may come out otherwise though nothing is heard.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let times = self.leases.values().flat_map(|heard| {
            let end = self.spell.map(|spell| match heard.ended {
                Some(ended) => ended.max(spell.begun) + GONE,
                None => heard.at.max(spell.begun) + DURATION,
            });
            [heard.lacking.map(|since| since + HELD), end]
        });
        times.flatten().filter(|time| *time > now).min()
    }

    /// The members as of the last judgement, and what is wrong with Leases. Of two that claim one number or address the
    /// one that lives has it, else the first by name: the leader gives the other another number, and who has another's
    /// address is told so.
    pub(super) fn members(&self) -> (Vec<Node>, Vec<Finding>) {
        let (mut nodes, mut findings) = (Vec::new(), Vec::new());
        let mut numbers = BTreeSet::new();
        let mut owners: BTreeMap<IpAddr, Arc<str>> = BTreeMap::new();
        let (ended, living): (Vec<_>, Vec<_>) =
            self.leases.iter().partition(|(_, heard)| heard.ended.is_some());
        for (name, heard) in living.into_iter().chain(ended) {
            let finding = |fault: &Fault| Finding {
                object: ObjectRef {
                    kind: "Lease",
                    namespace: heard.namespace(),
                    name: Arc::clone(name),
                },
                place: None,
                fault: fault.clone(),
            };
            let faults = heard.value.iter().flat_map(|value| &value.faults);
            findings.extend(faults.chain(&heard.fault).map(finding));
            let Some(node) = heard.member() else {
                continue;
            };
            let member = &node.member;
            let mut addresses = member.addresses.iter();
            let taken = addresses.find_map(|address| Some((*address, owners.get(address)?)));
            if let Some((address, owner)) = taken {
                // Who fell silent has left it to the other.
                findings.extend(
                    heard
                        .ended
                        .is_none()
                        .then(|| finding(&lease::taken(address, owner))),
                );
                continue;
            }
            if numbers.insert(member.number) {
                let addresses = member.addresses.iter();
                owners.extend(addresses.map(|address| (*address, Arc::clone(&member.name))));
                nodes.push(node);
            }
        }
        nodes.sort_by(|a, b| a.member.name.cmp(&b.member.name));
        (nodes, findings)
    }
}

impl Heard {
    /// The node as a member; `None` where it is none.
    fn member(&self) -> Option<Node> {
        let mut node = self.value.as_ref()?.member()?;
        if self.ended.is_some() && node.member.state == MemberState::Active {
            node.member.state = MemberState::Silent;
        }
        (!self.gone).then_some(node)
    }

    fn means_the_same_as(&self, other: &Self) -> bool {
        self.value.as_ref().map(Arc::as_ptr) == other.value.as_ref().map(Arc::as_ptr)
            && self.fault == other.fault
            && self.ended == other.ended
            && self.lacking == other.lacking
    }

    fn namespace(&self) -> Arc<str> {
        let value = self.value.as_ref();
        value.map_or_else(|| Arc::from(""), |value| Arc::clone(&value.object.namespace))
    }
}

#[cfg(test)]
mod tests;

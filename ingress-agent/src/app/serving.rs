//! What serves: VIPs, ordinary listeners, or nothing yet.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, pending};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::ordinary::{self, Opened};
use super::publish::Publisher;
use super::run::{RunError, Settings};
use super::steered::Steered;
use crate::cluster::Taking;
use crate::digest::{Fault, lease};
use crate::model::Opening;
use crate::proxy::{DrainOutcome, Ended, Ordinary, Proxy};
use crate::translate::Snapshot;
use crate::xdp;

/// Where requests are to come from.
pub(super) enum Doors {
    /// Listeners that the command line names, for good.
    Listeners {
        openings: Vec<Opening>,
        /// Until they are served.
        bound: Option<Ordinary>,
    },
    /// VIPs.
    Vips(xdp::Options),
    /// VIPs where there is a VipPool, else listeners at the node's own addresses.
    Cluster(xdp::Options),
}

/// What a snapshot asks of this node.
#[derive(Debug, Eq, PartialEq)]
enum Want {
    Listeners(Vec<Opening>),
    Vips,
    /// Not to be known yet.
    Wait,
}

impl Want {
    /// Of a node in a cluster.
    fn of(snapshot: &Snapshot) -> Self {
        let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
        let own = nodes
            .map(|node| &node.member)
            .find(|member| member.name == snapshot.node);
        match own {
            None => Self::Wait,
            Some(_) if !snapshot.pools.is_empty() => Self::Vips,
            Some(own) => Self::Listeners(ordinary::openings(&own.addresses)),
        }
    }
}

/// What keeps this node from being a member, but a number.
fn no_member(snapshot: &Snapshot) -> Option<&Fault> {
    let own = lease::name(&snapshot.node);
    let mut findings = snapshot.findings.iter();
    let of_own = findings
        .find(|finding| finding.object.kind == "Lease" && own.as_deref() == Some(&*finding.object.name));
    of_own.map(|finding| &finding.fault)
}

/// What serves.
pub(super) struct Serving {
    settings: Settings,
    doors: Doors,
    served: Served,
    /// The last snapshot that could not be served as it wants.
    unserved: Option<Arc<Snapshot>>,
    /// Who could not serve VIPs so far.
    trying: Option<Publisher>,
    /// Proxies that take nothing new and whose requests end.
    leaving: JoinSet<DrainOutcome>,
}

enum Served {
    Nothing,
    Listeners(Box<Opened>),
    Vips(Box<Steered>),
}

impl Serving {
    pub(super) fn new(settings: Settings, doors: Doors) -> Self {
        Self {
            settings,
            doors,
            served: Served::Nothing,
            unserved: None,
            trying: None,
            leaving: JoinSet::new(),
        }
    }

    /// What this node takes as it is served now.
    pub(super) fn taking(&self) -> Taking {
        match &self.served {
            Served::Nothing => Taking::default(),
            Served::Listeners(_) => Taking {
                connections: true,
                generation: None,
            },
            Served::Vips(steered) => Taking {
                connections: true,
                generation: steered.generation(),
            },
        }
    }

    /// Serves what a snapshot means, by VIPs or by listeners as it asks for.
    pub(super) async fn follow(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), RunError> {
        while self.leaving.try_join_next().is_some() {}
        let last = self.unserved.take();
        let is_again = last.is_some_and(|last| Arc::ptr_eq(&last, snapshot));
        let want = match &mut self.doors {
            Doors::Listeners { openings, bound } => match bound.take() {
                Some(listeners) => {
                    let opened = Opened::start(&self.settings, openings.clone(), listeners, snapshot).await?;
                    self.served = Served::Listeners(Box::new(opened));
                    return Ok(());
                }
                None => Want::Listeners(openings.clone()),
            },
            Doors::Vips(_) => Want::Vips,
            Doors::Cluster(_) => Want::of(snapshot),
        };
        match want {
            Want::Wait => {
                if matches!(self.served, Served::Nothing) {
                    match no_member(snapshot) {
                        Some(fault) => warn!("waiting to be a member: this node's Lease is refused: {fault}"),
                        None => info!("waiting for a number, which the leader gives this node"),
                    }
                }
                self.go_on(snapshot).await;
            }
            Want::Listeners(openings) => self.listen(openings, snapshot).await,
            Want::Vips => self.steer(snapshot, is_again).await?,
        }
        Ok(())
    }

    /// Serves what a snapshot means in the way that is served.
    pub(super) async fn go_on(&mut self, snapshot: &Arc<Snapshot>) {
        match &mut self.served {
            Served::Nothing => {}
            Served::Listeners(opened) => opened.follow(snapshot),
            Served::Vips(steered) => steered.follow(snapshot).await,
        }
    }

    async fn listen(&mut self, openings: Vec<Opening>, snapshot: &Arc<Snapshot>) {
        self.refuse_vips(None);
        match std::mem::replace(&mut self.served, Served::Nothing) {
            Served::Listeners(mut opened) if opened.is_at(&openings) => {
                opened.follow(snapshot);
                self.served = Served::Listeners(opened);
                return;
            }
            Served::Vips(steered) => {
                info!("there is no VipPool any more: VIPs are withdrawn");
                steered.withdraw(snapshot).await;
            }
            Served::Listeners(opened) => self.leave(*opened),
            Served::Nothing => {}
        }
        let opened = match ordinary::bind(&self.settings, &openings, Vec::new()) {
            Ok(listeners) => Opened::start(&self.settings, openings, listeners, snapshot).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(opened) => {
                warn!(
                    "there is no VipPool: this node serves at its own addresses; for VIPs make one, for example:\n{}",
                    super::run::example_pool(super::run::SOME_CLASS)
                );
                self.served = Served::Listeners(Box::new(opened));
            }
            Err(error) => {
                error!(%error, "there is no VipPool, and this node's own addresses cannot be served; tried again");
                self.unserved = Some(Arc::clone(snapshot));
            }
        }
    }

    /// `is_again`: the snapshot was tried before, and is served at the node's own addresses.
    async fn steer(&mut self, snapshot: &Arc<Snapshot>, is_again: bool) -> Result<(), RunError> {
        if let Served::Vips(steered) = &mut self.served {
            steered.follow(snapshot).await;
            return Ok(());
        }
        let (Doors::Vips(options) | Doors::Cluster(options)) = &self.doors else {
            return Ok(());
        };
        let started = Steered::start(&self.settings, options.clone(), snapshot, &mut self.trying).await;
        match (started, std::mem::replace(&mut self.served, Served::Nothing)) {
            (Ok(steered), before) => {
                self.served = Served::Vips(Box::new(steered));
                if let Served::Listeners(opened) = before {
                    self.leave(*opened);
                }
                self.refuse_vips(None);
                Ok(())
            }
            (Err(error), Served::Listeners(mut opened)) => {
                if !is_again {
                    opened.follow(snapshot);
                }
                // An attempt may have got as far as a request path of its own.
                self.settings.board.started(opened.proxy(), None);
                self.served = Served::Listeners(opened);
                self.refuse_vips(Some(error.to_string()));
                self.unserved = Some(Arc::clone(snapshot));
                Ok(())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Tells why VIPs cannot be served, once, or that it is over.
    fn refuse_vips(&mut self, why: Option<String>) {
        if self.settings.board.refuses_vips(why.clone())
            && let Some(error) = why
        {
            error!(
                error,
                "VIPs cannot be served: this node goes on at its own addresses, and other nodes hand it nothing; \
                 tried again"
            );
        }
    }

    /// Lets what is open end, and takes nothing new.
    fn leave(&mut self, opened: Opened) {
        let (proxy, at_most) = (opened.into_proxy(), self.settings.drain_timeout);
        self.leaving.spawn(async move { proxy.drain(at_most).await });
    }

    /// How long what is open may take to end from now on, where listeners make way for others.
    pub(super) const fn leave_within(&mut self, at_most: Duration) {
        self.settings.drain_timeout = at_most;
    }

    /// What is to be looked at every few seconds.
    pub(super) async fn look_again(&mut self) -> Result<(), RunError> {
        if let Served::Vips(steered) = &mut self.served {
            steered.fit_segments().await;
        }
        match self.unserved.clone() {
            Some(snapshot) => self.follow(&snapshot).await,
            None => Ok(()),
        }
    }

    /// When a worker ends that was not drained.
    pub(super) fn ended(&self) -> impl Future<Output = Ended> + use<> {
        match self.proxy() {
            Some(proxy) => Either::Left(proxy.ended()),
            None => Either::Right(pending()),
        }
    }

    /// Sends new connections elsewhere, where there is an elsewhere.
    pub(super) async fn turn_away(&mut self) {
        if let Served::Vips(steered) = &mut self.served {
            steered.turn_away().await;
        }
    }

    /// Ends; programs and maps stay.
    pub(super) async fn close(self) {
        if let Served::Vips(steered) = self.served {
            steered.close().await;
        }
    }

    /// When all requests have ended, at the latest after `at_most`. Nothing new is taken from now on.
    pub(super) fn drained(&mut self, at_most: Duration) -> impl Future<Output = DrainOutcome> + use<> {
        let proxy = self.proxy().cloned();
        let leaving = std::mem::take(&mut self.leaving);
        async move {
            let own = async {
                match proxy {
                    Some(proxy) => proxy.drain(at_most).await,
                    None => DrainOutcome::default(),
                }
            };
            let (own, others) = tokio::join!(own, leaving.join_all());
            others.iter().fold(own, |sum, outcome| DrainOutcome {
                finished: sum.finished + outcome.finished,
                cut: sum.cut + outcome.cut,
            })
        }
    }

    fn proxy(&self) -> Option<&Arc<Proxy>> {
        match &self.served {
            Served::Nothing => None,
            Served::Listeners(opened) => Some(opened.proxy()),
            Served::Vips(steered) => Some(steered.proxy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Nodes;
    use crate::model::ObjectRef;
    use crate::translate::Finding;

    #[test]
    fn a_node_that_waits_knows_what_is_wrong_with_its_own_lease() {
        let mut snapshot = Snapshot::empty(&Arc::from("b"));
        let mut wrong = |name: &str| {
            snapshot.findings.push(Finding {
                object: ObjectRef {
                    kind: "Lease",
                    namespace: Arc::from("ours"),
                    name: Arc::from(name),
                },
                place: None,
                fault: lease::taken("192.0.2.1".parse().unwrap(), name),
            });
            no_member(&snapshot).map(ToString::to_string)
        };
        assert_eq!(wrong("node-a"), None);
        assert!(wrong("node-b").is_some_and(|text| text.contains("which node `node-b` has")));
    }

    #[test]
    fn a_node_without_a_number_waits_and_one_without_a_pool_listens() {
        let node: Arc<str> = Arc::from("a");
        let mut snapshot = Snapshot::empty(&node);
        assert_eq!(Want::of(&snapshot), Want::Wait);
        snapshot.nodes = Some(Arc::new(Nodes::alone(&Arc::from("b"))));
        assert_eq!(Want::of(&snapshot), Want::Wait);
        let mut nodes = Nodes::alone(&node);
        for node in &mut nodes.nodes {
            node.member.addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        }
        snapshot.nodes = Some(Arc::new(nodes));
        let Want::Listeners(openings) = Want::of(&snapshot) else {
            panic!("it does not listen")
        };
        let text = |opening: &Opening| format!("{} {}", opening.vip, opening.tls);
        let openings: Vec<_> = openings.iter().map(text).collect();
        let expected = [
            "192.0.2.1-80-tcp false",
            "192.0.2.1-443-tcp true",
            "2001:db8::1-80-tcp false",
            "2001:db8::1-443-tcp true",
        ];
        assert_eq!(openings, expected);
    }
}

//! `/debug/status`: what this agent and its cluster do.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::Board;
use crate::metrics::since_1970;
use crate::model::{Listener, Model};
use crate::status::{Node, NodeState, Source, State, Status, Vip};
use crate::xdp::Plan;
use crate::xdp::announce::announcers;

/// All of it; the Leases are asked for.
pub(super) async fn status(board: &Board) -> Status {
    let model = board.model();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        state: state(board),
        unready: board.ready().err().map(Cow::into_owned),
        source: source(board),
        settings: board.settings().as_deref().cloned(),
        cluster: match board.cluster() {
            Some(cluster) => Some(cluster.look().await),
            None => None,
        },
        nodes: model.as_deref().map(nodes).unwrap_or_default(),
        vips: model
            .map(|model| vips(&model, board.plan().as_deref(), &board.announced()))
            .unwrap_or_default(),
    }
}

fn state(board: &Board) -> State {
    if board.is_draining() {
        State::Draining
    } else if board.ready().is_ok() {
        State::Serving
    } else if board.model().is_some() {
        State::Unready
    } else {
        State::Starting
    }
}

fn source(board: &Board) -> Source {
    let control = &board.control;
    let now = since_1970(SystemTime::now());
    let ago = |at: &AtomicU64| match at.load(Relaxed) {
        0 => None,
        at => Some(now.saturating_sub(at)),
    };
    Source {
        changed_seconds_ago: ago(&control.changed_at),
        applied_seconds_ago: ago(&control.applied_at),
        answered_seconds_ago: answered(board),
        refused: control.refused.load(Relaxed),
        degraded: control.degraded.load(Relaxed),
    }
}

fn answered(board: &Board) -> BTreeMap<String, Option<u64>> {
    let kinds = board.answered().unwrap_or_default().into_iter();
    let seconds = |ago: Option<Duration>| ago.map(|ago| ago.as_secs());
    kinds.map(|(kind, ago)| (kind.to_owned(), seconds(ago))).collect()
}

fn nodes(model: &Model) -> Vec<Node> {
    let members = model.pools.iter().flat_map(|pool| &pool.members);
    let mut nodes: Vec<_> = members
        .map(|member| Node {
            name: member.name.to_string(),
            number: member.number,
            state: NodeState::new(member.state, member.ready),
        })
        .collect();
    nodes.sort_by_key(|node| node.number);
    nodes.dedup();
    nodes
}

/// Where is served, and who announces it; `announced`: the addresses that this node does.
fn vips(model: &Model, plan: Option<&Plan>, announced: &BTreeSet<IpAddr>) -> Vec<Vip> {
    let vip = |listener: &Listener| {
        let pool = plan.and_then(|plan| plan.vips.get(&listener.vip));
        let members = plan.and_then(|plan| plan.pools.get(pool?));
        let own = plan.and_then(|plan| plan.own);
        let announcing = members.into_iter().flat_map(|members| announcers(members));
        let others = announcing.filter(|member| Some(member.number) != own);
        let this = own.filter(|_| announced.contains(&listener.vip.address));
        let this = this.and_then(|own| plan?.nodes.get(&own));
        let mut names: Vec<_> = others
            .map(|member| member.name.to_string())
            .chain(this.map(|node| node.name.to_string()))
            .collect();
        names.sort();
        Vip {
            vip: listener.vip.to_string(),
            tls: listener.tls,
            pool: pool.map(ToString::to_string),
            announced_by: names,
        }
    };
    model.listeners.iter().map(vip).collect()
}

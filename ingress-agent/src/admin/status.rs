//! `/debug/status`: what this agent and its cluster do.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use super::Board;
use crate::metrics::since_1970;
use crate::model::{Member, MemberState, Model};
use crate::status::{Node, Source, State, Status, Vip};

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
        vips: model.as_deref().map(vips).unwrap_or_default(),
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
            draining: member.state == MemberState::Draining,
        })
        .collect();
    nodes.sort_by_key(|node| node.number);
    nodes.dedup();
    nodes
}

fn vips(model: &Model) -> Vec<Vip> {
    let vip = |listener: &crate::model::Listener| {
        let pool = model.pools.iter().find(|pool| pool.vips.contains(&listener.vip));
        let active = |member: &&Member| member.state == MemberState::Active;
        let members = pool.iter().flat_map(|pool| &pool.members);
        Vip {
            vip: listener.vip.to_string(),
            tls: listener.tls,
            pool: pool.map(|pool| pool.name.to_string()),
            announced_by: members
                .filter(active)
                .map(|member| member.name.to_string())
                .collect(),
        }
    };
    model.listeners.iter().map(vip).collect()
}

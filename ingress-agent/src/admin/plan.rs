//! The plan as JSON, without its keys, and what this node announces.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::xdp::Plan;
use crate::xdp::plan::PlanNode;
use crate::xdp::rendezvous::Candidate;

/// All of it.
pub(super) fn describe(plan: &Plan, announced: &BTreeSet<IpAddr>) -> Value {
    let Plan {
        own,
        nodes,
        pools,
        vips,
        keys: _,
        generation,
        left_out,
    } = plan;
    let node = |(number, node): (&u16, &PlanNode)| {
        let text = json!({"name": &*node.name, "v4": node.v4, "v6": node.v6});
        (number.to_string(), text)
    };
    let candidate = |candidate: &Candidate| json!({"name": &*candidate.name, "number": candidate.number, "active": candidate.active});
    let pools = pools
        .iter()
        .map(|(name, pool)| (name.to_string(), pool.iter().map(candidate).collect()));
    let vips = vips
        .iter()
        .map(|(vip, pool)| (vip.to_string(), Value::from(pool.to_string())));
    let left_out = left_out.iter().map(ToString::to_string);
    json!({
        "own": own,
        "nodes": nodes.iter().map(node).collect::<serde_json::Map<String, Value>>(),
        "pools": pools.collect::<serde_json::Map<String, Value>>(),
        "vips": vips.collect::<serde_json::Map<String, Value>>(),
        "announced": announced,
        "generation": generation,
        "left_out": left_out.collect::<Vec<_>>(),
    })
}

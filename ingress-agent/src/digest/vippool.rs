//! VipPool (ingress-agent.dev/v1alpha1): our one custom resource, and its value.

use std::sync::Arc;

use super::{Cause, Fault, Selector, keep, object};
use crate::model::ObjectRef;

mod api;
mod port;
mod range;
mod rules;

pub use api::{Announce, Assignment, VipPool, VipPoolSpec, VipPoolStatus, VipPort, VipProtocol};
pub use port::Port;
pub use range::Range;

/// A VipPool's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// Its name.
    pub object: ObjectRef,
    /// Its addresses, in its order.
    pub ranges: Vec<Range>,
    /// Its ports, in its order, no two alike. Never more than 16.
    pub ports: Vec<Port>,
    /// The classes it names; empty: those that no other pool names.
    pub classes: Vec<Arc<str>>,
    /// The nodes that serve it.
    pub nodes: Selector,
    /// The namespaces that are served.
    pub namespaces: Selector,
    /// `status.assignments` for classes, as `(address, class)`.
    pub assignments: Vec<(std::net::IpAddr, Arc<str>)>,
    /// What of it could not be read. With a fault in ports or selectors, `ranges` is empty: a pool that
    /// would serve other nodes or namespaces than it was meant to serves none.
    pub faults: Vec<Fault>,
}

/// Turns a VipPool into its value.
pub fn digest(pool: VipPool, previous: Option<&Arc<Pool>>) -> Arc<Pool> {
    let VipPool {
        metadata,
        spec,
        status,
    } = pool;
    let VipPoolSpec {
        addresses,
        ports,
        announce: Announce::Routes,
        classes,
        node_selector,
        namespace_selector,
    } = spec;
    let mut faults = Vec::new();
    let ports = port::parse(ports);
    let nodes = Selector::parse(node_selector.unwrap_or_default(), "spec.nodeSelector");
    let namespaces = Selector::parse(namespace_selector.unwrap_or_default(), "spec.namespaceSelector");
    let usable = ports.is_ok() && nodes.is_ok() && namespaces.is_ok();
    let mut take = |fault| faults.push(fault);
    let ports = ports.map_err(&mut take).unwrap_or_default();
    let nodes = nodes.map_err(&mut take).unwrap_or_default();
    let namespaces = namespaces.map_err(&mut take).unwrap_or_default();
    let ranges = if usable {
        range::parse(&addresses, &mut faults)
    } else {
        Vec::new()
    };
    let assignments = status.unwrap_or_default().assignments;
    let pool = Pool {
        object: object("VipPool", &metadata),
        ranges,
        ports,
        classes: classes.unwrap_or_default().into_iter().map(Arc::from).collect(),
        nodes,
        namespaces,
        assignments: assignments
            .into_iter()
            .enumerate()
            .filter_map(|(i, a)| assignment(i, a, &mut faults))
            .collect(),
        faults,
    };
    keep(pool, previous)
}

/// Assignments to other objects than classes are read by those who serve such objects.
fn assignment(
    index: usize,
    assignment: Assignment,
    faults: &mut Vec<Fault>,
) -> Option<(std::net::IpAddr, Arc<str>)> {
    let Assignment {
        address,
        class,
        namespace: _,
        name: _,
    } = assignment;
    let class = class?;
    match address.parse() {
        Ok(address) => Some((address, Arc::from(class))),
        Err(_) => {
            faults.push(
                Fault::refused(
                    Cause::AssignmentAddress,
                    format!("status.assignments[{index}].address"),
                )
                .found(format!("`{address}`"))
                .expected("an IP address")
                .so("the assignment is not used")
                .change("remove the assignment, or correct its address"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;

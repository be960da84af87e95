//! VipPool (ingress-agent.dev/v1alpha1): our one custom resource, and its value.

use std::fmt;
use std::net::IpAddr;
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
pub use rules::MAX_ASSIGNMENTS;

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
    /// `status.assignments`.
    pub assignments: Vec<(IpAddr, Owner)>,
    /// What of it could not be read. With a fault in ports or selectors, `ranges` is empty: a pool that
    /// would serve other nodes or namespaces than it was meant to serves none.
    pub faults: Vec<Fault>,
}

/// Whose an address is. A namespace and a name stay apart: joined, those of two objects may be alike (K8-4).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// An IngressClass's, for all of its Ingresses that ask for no address of their own.
    Class(Arc<str>),
    /// One Ingress's own.
    Ingress {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "class `{class}`"),
            Self::Ingress { namespace, name } => write!(f, "Ingress `{namespace}/{name}`"),
        }
    }
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

fn assignment(index: usize, assignment: Assignment, faults: &mut Vec<Fault>) -> Option<(IpAddr, Owner)> {
    let Assignment {
        address,
        class,
        namespace,
        name,
    } = assignment;
    let field = format!("status.assignments[{index}]");
    let Ok(address) = address.parse() else {
        let fault = Fault::refused(Cause::AssignmentAddress, format!("{field}.address"))
            .found(format!("`{address}`"))
            .expected("an IP address")
            .so("the assignment is not used")
            .change("remove the assignment, or correct its address");
        faults.push(fault);
        return None;
    };
    let owner = match (class, namespace, name) {
        (Some(class), None, None) => Owner::Class(Arc::from(class)),
        (None, Some(namespace), Some(name)) => Owner::Ingress {
            namespace: Arc::from(namespace),
            name: Arc::from(name),
        },
        (_, _, _) => {
            let fault = Fault::refused(Cause::AssignmentOwner, field)
                .found(format!("{address} for nobody, or for more than one"))
                .expected("either `class`, or `namespace` and `name` of an Ingress")
                .so("the assignment is not used")
                .change("remove the assignment, or write one of the two");
            faults.push(fault);
            return None;
        }
    };
    Some((address, owner))
}

#[cfg(test)]
mod tests;

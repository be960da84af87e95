//! Kubernetes objects, each turned once, on arrival, into a small value of ours.
//!
//! In: one object of an API type, and the value it had before. Out: an `Arc` of ours; the API type is
//! dropped. A value that did not change is the *previous* `Arc`, so that whoever compares pointers sleeps
//! on. Nothing fails: what is wrong with an object becomes part of its value, as [`Fault`]s, beside what
//! of it can still be served. One kind per file; no clients, no clock, no other object is looked at.

pub mod annotation;
pub mod cause;
pub mod class;
pub mod endpoints;
pub mod fault;
pub mod ingress;
pub mod lease;
pub mod nearest;
pub mod node;
pub mod precedence;
pub mod secret;
pub mod selector;
pub mod service;
pub mod vippool;

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::ObjectRef;

pub use cause::Cause;
pub use class::Class;
pub use endpoints::Endpoints;
pub use fault::{Fault, Verdict};
pub use ingress::Ingress;
pub use lease::NodeLease;
pub use node::{Node, Nodes};
pub use precedence::Precedence;
pub use secret::Secret;
pub use selector::Selector;
pub use service::Service;
pub use vippool::Pool;

/// The new value, or the previous one when they are equal.
fn keep<T: PartialEq>(new: T, previous: Option<&Arc<T>>) -> Arc<T> {
    match previous {
        Some(previous) if **previous == new => Arc::clone(previous),
        Some(_) | None => Arc::new(new),
    }
}

/// Items in a list of just their size: collected in place of those of an API type, they would keep its room, up to a
/// kilobyte an object.
fn fitted<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.shrink_to_fit();
    items
}

/// The object's name, as its author knows it. A source fills the namespace in before.
fn object(kind: &'static str, metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: Arc::from(metadata.namespace.as_deref().unwrap_or_default()),
        name: Arc::from(metadata.name.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;

//! The tunnel between nodes: GUE over UDP (`ingress_common::GueHeader`).

mod receive;
mod send;

pub(crate) use receive::{Tunnelled, open, strip};
pub(crate) use send::{Parcel, send};

//! Where objects come from.
//!
//! A source reads API objects, gives each to its digest and puts the values together into a
//! [`Snapshot`](crate::translate::Snapshot). It decides nothing about traffic.

mod fault;
pub mod file;
pub mod kube;

//! Wires the parts together: moves values from one to the next and decides nothing.
//!
//! ```text
//! source ──Snapshot──▶ translate ──Model──┬──▶ proxy.swap(Table)
//!                          └─Report─▶ log └──▶ dataplane.apply(Plan)
//! ```
//!
//! Threads: the proxy's workers, the heartbeat's, and this one, of lower priority, for everything else.

mod crd;
mod explain;
mod files;
mod followed;
mod heartbeat;
mod ordinary;
mod publish;
mod run;
mod serving;
mod starter;
mod steered;
mod stop;

pub use crd::{WriteError, write_crd};
pub use explain::{ExplainError, explain_request};
pub use run::{RunError, run};

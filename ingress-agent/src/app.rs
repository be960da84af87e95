//! Wires the parts together: moves values from one to the next and decides nothing.
//!
//! ```text
//! source ──Snapshot──▶ translate ──Model──┬──▶ proxy.swap(Table)
//!                          └─Report─▶ log └──▶ dataplane.apply(Plan)
//! ```
//!
//! Threads: the proxy's workers, the heartbeat's, and this one, of lower priority once it serves, for everything else.

mod ask;
mod configured;
mod crd;
mod explain;
mod files;
mod followed;
mod heartbeat;
mod ordinary;
mod probe;
mod publish;
mod run;
mod serving;
mod starter;
mod status;
mod steered;
mod stop;
mod unload;

pub use ask::AskError;
pub use crd::{WriteError, write_crd};
pub use explain::{ExplainError, explain_request};
pub use probe::probe;
pub use run::{RunError, run};
pub use status::{StatusError, write_status};
pub use unload::{UnloadingError, take_down};

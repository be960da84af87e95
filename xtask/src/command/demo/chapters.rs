//! The demo's chapters: each shows one promise, by requests of a real client.

mod change;
mod flow;
mod maps;
mod request;

use anyhow::Result;

use super::Stage;
use super::report::Report;

/// A chapter: what it says is checked as it is said.
type Chapter = fn(&mut Stage, &mut Report) -> Result<()>;

/// All chapters, in their order.
pub(super) const ALL: &[(&str, Chapter)] = &[
    ("HTTP and HTTPS through the VIPs", request::schemes),
    ("Routing by host and path", request::routes),
    ("Flows enter at any node and end at their owner", flow::any_entry),
    (
        "The maps are pinned, and bpftool shows their fields",
        maps::named_fields,
    ),
    ("An edit of the YAML takes effect", change::edit),
    (
        "A node is drained, then stopped, while requests go on",
        change::drain_and_stop,
    ),
];

//! A load of requests, each with an id of its own, and the ledger of how each ended:
//! sent = ok + failed (by cause) + unknown (0).
//!
//! A request carries its id and its tenant in fields of its head. The [`Pod`] that gets it writes the id into the
//! [`Book`] and repeats both in its body, with its own name; so an answer from another tenant's pod, from a pod
//! that may not answer (any more), or to another request is seen, and a request that came twice. A [`Target`]
//! says who may answer, also while the load runs: what was right when the request was sent or when its answer
//! came is right.
//!
//! ```text
//! let book = Book::new();
//! let pod = Pod::start(&book, "127.0.0.1".parse().unwrap(), "shop", "shop-1");
//! let target = Target::get("shop", "a.test", "/", &["shop-1"]);
//! let running = Load::at(address).start(&book, &[target.clone()]);
//! // Edits; `target.expect(...)` before and after.
//! let ledger = running.finish_after(200_000);
//! ledger.assert_clean();
//! ```
//!
//! Clients and pods are threads that block, which is cheap in an unoptimised build too.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

#[path = "ledger/book.rs"]
mod book;
#[path = "ledger/client.rs"]
mod client;
#[path = "ledger/h2.rs"]
mod h2;
#[path = "ledger/load.rs"]
mod load;
#[path = "ledger/message.rs"]
mod message;
#[path = "ledger/pod.rs"]
mod pod;
#[path = "ledger/target.rs"]
mod target;
#[path = "ledger/trust.rs"]
mod trust;
#[path = "ledger/tunnel.rs"]
mod tunnel;

pub(crate) use book::{Book, Cause, Ledger};
pub(crate) use load::{Load, Running};
pub(crate) use pod::{Fault, Pod};
pub(crate) use target::{Expected, Target};
pub(crate) use trust::Trust;
pub(crate) use tunnel::{Download, Tunnel};

//! The packet table: a frame, what the maps hold, and what must become of it.
//!
//! The same cases are run through the library on the host (`packets.rs`) and through the programs in the
//! kernel (`ingress-agent/tests/kernel.rs`); a difference is a bug in one of them. Frames and expected frames
//! are built by `etherparse` and by hand, never by the library.

#[path = "table/chance.rs"]
mod chance;
#[path = "table/forward.rs"]
mod forward;
#[path = "table/frames.rs"]
pub(crate) mod frames;
#[path = "table/plain.rs"]
mod plain;
#[path = "table/strict.rs"]
mod strict;
#[path = "table/tunnel.rs"]
mod tunnel;
#[path = "table/world.rs"]
pub(crate) mod world;

use ingress_common::Reason;

use self::world::World;

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) world: World,
    pub(crate) frame: Vec<u8>,
    pub(crate) reason: Reason,
    /// What the frame is afterwards, if that matters: a dropped one's bytes do not.
    pub(crate) output: Option<Vec<u8>>,
    /// The number of the node that it is counted for, if it is sent to one.
    pub(crate) node: Option<u16>,
    /// Why this case cannot be run in the kernel, if it cannot.
    pub(crate) host_only: Option<&'static str>,
}

impl Case {
    /// A frame that is passed on as it is.
    pub(crate) fn passes(name: impl Into<String>, world: &World, frame: &[u8], reason: Reason) -> Self {
        Self {
            output: Some(frame.to_vec()),
            ..Self::drops(name, world, frame, reason)
        }
    }

    /// A frame that is dropped.
    pub(crate) fn drops(name: impl Into<String>, world: &World, frame: &[u8], reason: Reason) -> Self {
        Self {
            name: name.into(),
            world: world.clone(),
            frame: frame.to_vec(),
            reason,
            output: None,
            node: None,
            host_only: None,
        }
    }

    /// A frame that comes through the tunnel to stay.
    pub(crate) fn emerges(name: impl Into<String>, world: &World, frame: &[u8], output: Vec<u8>) -> Self {
        Self {
            output: Some(output),
            ..Self::drops(name, world, frame, Reason::KeptTunnel)
        }
    }

    /// A frame that is sent to a node.
    pub(crate) fn sends(
        name: impl Into<String>,
        world: &World,
        frame: &[u8],
        reason: Reason,
        node: u16,
        output: Vec<u8>,
    ) -> Self {
        Self {
            output: Some(output),
            node: Some(node),
            ..Self::drops(name, world, frame, reason)
        }
    }

    pub(crate) fn host_only(self, why: &'static str) -> Self {
        Self {
            host_only: Some(why),
            ..self
        }
    }
}

/// The whole table.
pub(crate) fn cases() -> Vec<Case> {
    [
        plain::cases(),
        strict::cases(),
        forward::cases(),
        chance::cases(),
        tunnel::cases(),
    ]
    .concat()
}

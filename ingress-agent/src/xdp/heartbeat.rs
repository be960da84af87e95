//! The agent's sign of life, without which its programs give new connections to other nodes.

use ingress_common::Heartbeat;

use super::maps::Table;
use super::sys::{SysError, monotonic_ns};

/// Writes `HEARTBEAT`. Works from any thread and needs no runtime.
#[derive(Debug)]
pub struct HeartbeatWriter {
    table: Table<u32, Heartbeat>,
}

impl HeartbeatWriter {
    pub(super) const fn new(table: Table<u32, Heartbeat>) -> Self {
        Self { table }
    }

    /// New connections may come: to be called every 100 ms while they may.
    pub fn beat(&self) -> Result<(), SysError> {
        self.table.put(
            &0,
            &Heartbeat {
                monotonic_ns: monotonic_ns(),
            },
        )
    }

    /// No new connections from now on.
    pub fn stop(&self) -> Result<(), SysError> {
        self.table.put(&0, &Heartbeat { monotonic_ns: 0 })
    }
}

//! A VipPool's ports.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{VipPort, VipProtocol};
use crate::digest::{Cause, Fault};

/// `VIP_ADDRS` holds this many ports beside an address.
const MAX_PORTS: usize = 16;

/// A port of every address of a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Port {
    /// The TCP port.
    pub number: NonZeroU16,
    /// Whether TLS ends here.
    pub tls: bool,
}

/// Reads `spec.ports`.
pub(super) fn parse(ports: Option<Vec<VipPort>>) -> Result<Vec<Port>, Fault> {
    let default = || {
        let port = |port, protocol| VipPort { port, protocol };
        vec![port(80, VipProtocol::Http), port(443, VipProtocol::Https)]
    };
    let ports = ports.unwrap_or_else(default);
    if ports.is_empty() || ports.len() > MAX_PORTS {
        return Err(wrong("spec.ports", format!("{} ports", ports.len())));
    }
    let mut seen = BTreeSet::new();
    let read = |(index, VipPort { port, protocol })| match NonZeroU16::new(port) {
        Some(number) if seen.insert(number) => Ok(Port {
            number,
            tls: protocol == VipProtocol::Https,
        }),
        Some(_) => Err(wrong(
            format!("spec.ports[{index}].port"),
            format!("{port} a second time"),
        )),
        None => Err(wrong(format!("spec.ports[{index}].port"), "0".to_owned())),
    };
    ports.into_iter().enumerate().map(read).collect()
}

fn wrong(field: impl Into<Arc<str>>, found: String) -> Fault {
    Fault::refused(Cause::PoolPorts, field)
        .found(found)
        .expected("1 to 16 different ports from 1 to 65535")
        .so("the pool is not served")
        .change("correct the ports, or leave them out for 80 and 443")
}

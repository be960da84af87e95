//! The listeners of an agent without XDP: one `SO_REUSEPORT` group per address, one socket per worker.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{ListenError, Sockets, listen_at};

/// Listeners at addresses of the node, not yet served.
#[derive(Debug)]
pub struct Ordinary(Sockets);

impl Ordinary {
    /// Binds `workers` sockets (at least one) at each address. Who connects from `balancers` must begin with a
    /// PROXY protocol header; nobody else may.
    pub fn bind(
        workers: usize,
        addresses: &[SocketAddr],
        balancers: Vec<IpNet>,
    ) -> Result<Self, ListenError> {
        let set = |_| addresses.iter().copied().map(listen_at).collect();
        let sets: Result<Vec<Vec<_>>, _> = (0..workers.max(1)).map(set).collect();
        Ok(Self(Sockets {
            sets: sets?,
            balancers: Arc::from(balancers),
        }))
    }
}

impl From<Ordinary> for Sockets {
    fn from(ordinary: Ordinary) -> Self {
        ordinary.0
    }
}

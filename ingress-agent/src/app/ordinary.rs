//! The request path behind ordinary listeners, without XDP.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use tracing::{info, warn};

use super::publish::Publisher;
use super::run::{RunError, Settings};
use crate::model::{NODE_PORTS, Opening, Protocol, Vip};
use crate::proxy::{Ordinary, Proxy};
use crate::translate::Snapshot;
use crate::xdp::netlink::Netlink;

/// Listeners, and a proxy that serves them once there is something to serve.
pub(super) struct Opened {
    openings: Vec<Opening>,
    publisher: Publisher,
    proxy: Arc<Proxy>,
}

/// Listeners at `openings`, not served yet.
pub(super) fn bind(
    settings: &Settings,
    openings: &[Opening],
    balancers: Vec<IpNet>,
) -> Result<Ordinary, RunError> {
    let addresses: Vec<_> = openings.iter().map(address).collect();
    Ok(Ordinary::bind(settings.workers, &addresses, balancers)?)
}

impl Opened {
    /// Serves what a snapshot means at `openings`.
    pub(super) async fn start(
        settings: &Settings,
        openings: Vec<Opening>,
        listeners: Ordinary,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Self, RunError> {
        let local = local_addresses(&openings).await;
        let mut publisher = settings.publisher(Some((openings.clone(), local)));
        let model = publisher.translate(snapshot);
        let proxy = settings.proxy(listeners).await?;
        settings.board.started(&proxy, None);
        if !publisher.route(&model, &proxy) {
            return Err(RunError::NotInEffect);
        }
        let addresses: Vec<_> = openings.iter().map(address).collect();
        info!(node = %settings.node, workers = settings.workers, ?addresses, "serving without XDP");
        Ok(Self {
            openings,
            publisher,
            proxy,
        })
    }

    /// Serves what a snapshot means.
    pub(super) fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        let model = self.publisher.translate(snapshot);
        if self.publisher.route(&model, &self.proxy) {
            info!(listeners = model.listeners.len(), "in effect");
        }
    }

    pub(super) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    pub(super) fn into_proxy(self) -> Arc<Proxy> {
        self.proxy
    }

    /// Whether these are where it listens.
    pub(super) fn is_at(&self, openings: &[Opening]) -> bool {
        self.openings == openings
    }
}

/// Where a node with these addresses serves that has no VIP.
pub(super) fn openings(addresses: &[IpAddr]) -> Vec<Opening> {
    let at = |address: IpAddr, (port, tls): (u16, bool)| {
        Some(Opening {
            vip: Vip {
                address,
                port: NonZeroU16::new(port)?,
                protocol: Protocol::Tcp,
            },
            tls,
        })
    };
    let of = |address: &IpAddr| NODE_PORTS.map(|port| at(*address, port));
    addresses.iter().flat_map(of).flatten().collect()
}

/// The machine's addresses, where some opening is at all of them.
async fn local_addresses(openings: &[Opening]) -> BTreeSet<IpAddr> {
    let everywhere = openings
        .iter()
        .any(|opening| opening.vip.address.is_unspecified());
    if !everywhere {
        return BTreeSet::new();
    }
    let addresses = async { Netlink::connect()?.addresses().await };
    match addresses.await {
        Ok(addresses) => addresses.into_keys().collect(),
        Err(error) => {
            warn!(%error, "an endpoint at this machine's own address and port will be called, and call this agent");
            BTreeSet::new()
        }
    }
}

fn address(opening: &Opening) -> SocketAddr {
    SocketAddr::new(opening.vip.address, opening.vip.port.get())
}

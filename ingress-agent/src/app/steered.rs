//! The request path behind VIPs: XDP, the listeners that connections are steered to, and the heartbeat.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use super::heartbeat::Heartbeat;
use super::publish::Publisher;
use super::run::{RunError, Settings};
use crate::model::Model;
use crate::proxy::{Listeners, Proxy};
use crate::translate::Snapshot;
use crate::xdp::{self, Dataplane};

/// VIPs that are served.
pub(super) struct Steered {
    publisher: Publisher,
    dataplane: Dataplane,
    proxy: Arc<Proxy>,
    /// `None` from the drain on.
    heartbeat: Option<Heartbeat>,
}

impl Steered {
    /// Serves what a snapshot means; also gives the membership that is followed. Nothing of the kernel's is touched where it means nothing for this node.
    pub(super) async fn start(
        settings: &Settings,
        options: xdp::Options,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(Self, u64), RunError> {
        let mut publisher = settings.publisher(None);
        let model = publisher.translate(snapshot);
        if let Some(source_name) = settings.needs_vips.clone().filter(|_| model.listeners.is_empty()) {
            return Err(RunError::NoVip { source_name });
        }
        publisher.plan(&model)?;
        let mut dataplane = Dataplane::open(options).await?;
        match serve(settings, &model, &mut publisher, &mut dataplane).await {
            Ok((proxy, heartbeat, generation)) => {
                info!(node = %settings.node, workers = settings.workers, vips = model.listeners.len(), "serving");
                let steered = Self {
                    publisher,
                    dataplane,
                    proxy,
                    heartbeat: Some(heartbeat),
                };
                Ok((steered, generation))
            }
            Err(error) => {
                close(dataplane).await;
                Err(error)
            }
        }
    }

    /// Serves what a snapshot means. The membership that is followed then, if it is.
    pub(super) async fn follow(&mut self, snapshot: &Arc<Snapshot>) -> Option<u64> {
        let model = self.publisher.translate(snapshot);
        self.publisher
            .apply(&model, &self.proxy, &mut self.dataplane)
            .await
    }

    /// Lets connections announce segments that fit the tunnel as the network is now.
    pub(super) async fn fit_segments(&mut self) {
        self.publisher.fit_segments(&self.proxy, &self.dataplane).await;
    }

    pub(super) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Sends new connections to other nodes; packets of open ones still come.
    pub(super) async fn turn_away(&mut self) {
        // First, so that other nodes' routes are in use before anything here closes.
        if let Err(error) = self.dataplane.drain().await {
            error!(%error, "VIPs are still announced here; tried again until the end");
        }
        self.heartbeat = None;
    }

    /// Serves no VIP any more: there is none.
    pub(super) async fn withdraw(mut self, snapshot: &Arc<Snapshot>) {
        self.follow(snapshot).await;
        self.turn_away().await;
        // Their address is gone, so that nothing more reaches them.
        self.proxy.drain(Duration::ZERO).await;
        self.close().await;
    }

    /// Ends; programs and maps stay.
    pub(super) async fn close(self) {
        close(self.dataplane).await;
    }
}

async fn serve(
    settings: &Settings,
    model: &Arc<Model>,
    publisher: &mut Publisher,
    dataplane: &mut Dataplane,
) -> Result<(Arc<Proxy>, Heartbeat, u64), RunError> {
    let listeners = Listeners::bind(settings.workers)?;
    dataplane.set_listeners(listeners.v4_fd(), listeners.v6_fd())?;
    let proxy = settings.proxy(listeners).await?;
    settings.board.started(&proxy, Some(dataplane));
    let Some(generation) = publisher.apply(model, &proxy, dataplane).await else {
        return Err(RunError::NotInEffect);
    };
    let (writer, pulse) = (dataplane.heartbeat()?, Arc::clone(&proxy));
    let started = settings.starter.start(|| Heartbeat::start(writer, pulse)).await;
    let heartbeat = started.flatten().map_err(|cause| RunError::System {
        call: "start the heartbeat's thread",
        cause,
    })?;
    Ok((proxy, heartbeat, generation))
}

async fn close(dataplane: Dataplane) {
    if let Err(error) = dataplane.close().await {
        error!(%error, "VIPs may stay announced; `ingress-agent unload` withdraws them");
    }
}

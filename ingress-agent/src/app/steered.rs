//! The request path behind VIPs: XDP, the listeners that connections are steered to, and the heartbeat.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use super::heartbeat::Heartbeat;
use super::publish::Publisher;
use super::run::{RunError, Settings};
use crate::model::Model;
use crate::proxy::{Listeners, Proxy};
use crate::translate::Snapshot;
use crate::xdp::{self, Dataplane, Plan};

/// VIPs that are served.
pub(super) struct Steered {
    publisher: Publisher,
    dataplane: Dataplane,
    proxy: Arc<Proxy>,
    /// What is in force.
    plan: Arc<Plan>,
    /// `None` from the drain on.
    heartbeat: Option<Heartbeat>,
}

impl Steered {
    /// Serves what a snapshot means. Nothing of the kernel's is touched where it means nothing for this node.
    /// `publisher`: who tried before, and so has told what is wrong; taken on success.
    pub(super) async fn start(
        settings: &Settings,
        options: xdp::Options,
        snapshot: &Arc<Snapshot>,
        publisher: &mut Option<Publisher>,
    ) -> Result<Self, RunError> {
        let mut own = publisher.take().unwrap_or_else(|| settings.publisher(None));
        match open(settings, options, snapshot, &mut own).await {
            Ok((dataplane, begun)) => Ok(Self {
                publisher: own,
                dataplane,
                proxy: begun.proxy,
                plan: begun.plan,
                heartbeat: Some(begun.heartbeat),
            }),
            Err(error) => {
                *publisher = Some(own);
                Err(error)
            }
        }
    }

    /// Serves what a snapshot means.
    pub(super) async fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        let model = self.publisher.translate(snapshot);
        let applied = self.publisher.apply(&model, &self.proxy, &mut self.dataplane);
        if let Some(plan) = applied.await {
            self.plan = plan;
        }
    }

    /// The membership that is in force; `None`: this node is of no pool.
    pub(super) fn generation(&self) -> Option<u64> {
        self.plan.own.map(|_| self.plan.generation)
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

/// What serves behind a data plane.
struct Begun {
    proxy: Arc<Proxy>,
    heartbeat: Heartbeat,
    plan: Arc<Plan>,
}

async fn open(
    settings: &Settings,
    options: xdp::Options,
    snapshot: &Arc<Snapshot>,
    publisher: &mut Publisher,
) -> Result<(Dataplane, Begun), RunError> {
    let model = publisher.translate(snapshot);
    if let Some(source_name) = settings.needs_vips.clone().filter(|_| model.listeners.is_empty()) {
        return Err(RunError::NoVip { source_name });
    }
    publisher.plan(&model)?;
    let mut dataplane = Dataplane::open(options).await?;
    match serve(settings, &model, publisher, &mut dataplane).await {
        Ok(begun) => {
            info!(node = %settings.node, workers = settings.workers, vips = model.listeners.len(), "serving");
            Ok((dataplane, begun))
        }
        Err(error) => {
            close(dataplane).await;
            Err(error)
        }
    }
}

async fn serve(
    settings: &Settings,
    model: &Arc<Model>,
    publisher: &mut Publisher,
    dataplane: &mut Dataplane,
) -> Result<Begun, RunError> {
    let listeners = Listeners::bind(settings.workers)?;
    // The workers take the listeners themselves.
    let group = [listeners.v4_fd(), listeners.v6_fd()].map(|listener| listener.try_clone_to_owned());
    let proxy = settings.proxy(listeners).await?;
    settings.board.started(&proxy, Some(dataplane));
    // Before anything is steered here: an earlier agent's VIPs are served still, and a SYN that meets its TIME_WAIT
    // socket waits for no heartbeat.
    if !publisher.route(model, &proxy) {
        return Err(RunError::NotInEffect);
    }
    let [v4, v6] = group.map(|listener| {
        listener.map_err(|cause| RunError::System {
            call: "dup a listener",
            cause,
        })
    });
    dataplane.set_listeners(v4?.as_fd(), v6?.as_fd())?;
    let Some(plan) = publisher.apply(model, &proxy, dataplane).await else {
        return Err(RunError::NotInEffect);
    };
    let (writer, pulse) = (dataplane.heartbeat()?, Arc::clone(&proxy));
    let started = settings.starter.start(|| Heartbeat::start(writer, pulse)).await;
    let heartbeat = started.flatten().map_err(|cause| RunError::System {
        call: "start the heartbeat's thread",
        cause,
    })?;
    Ok(Begun {
        proxy,
        heartbeat,
        plan,
    })
}

async fn close(dataplane: Dataplane) {
    if let Err(error) = dataplane.close().await {
        error!(%error, "VIPs may stay announced; `ingress-agent unload` withdraws them");
    }
}

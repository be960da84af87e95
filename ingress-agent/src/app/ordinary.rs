//! The life of an agent without XDP: the same source, model and request path, behind listeners of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::info;

use super::publish::Publisher;
use super::run::{Followed, RunError, cores, drain, give_way, options};
use super::stop::Stop;
use crate::admin::{Admin, Board};
use crate::config::RunArgs;
use crate::model::Opening;
use crate::proxy::{Ordinary, Proxy};
use crate::telemetry::Logs;

/// Serves a source's Ingresses until SIGTERM or SIGINT, then drains. Needs no privilege but for ports below 1024.
pub(super) async fn run(args: RunArgs, logs: &Logs) -> Result<(), RunError> {
    let node: Arc<str> = Arc::from(&*args.node);
    let mut stop = Stop::listen().map_err(|cause| RunError::System {
        call: "sigaction",
        cause,
    })?;
    let openings = args.ordinary.openings()?;
    // Before anything is read, so that a port that is taken is told at once.
    let addresses: Vec<_> = openings.iter().map(address).collect();
    let workers = args.workers.map_or_else(cores, usize::from);
    let listeners = Ordinary::bind(workers, &addresses, args.ordinary.proxy_protocol_from.clone())?;

    let board = Arc::new(Board::new(Arc::clone(&logs.dropped)));
    let _admin = Admin::start(&args.places.run_dir, args.admin_listen, &board)?;
    let mut source = Followed::start(&args, Arc::clone(&node)).await?;
    let snapshot = tokio::select! {
        snapshot = source.next() => snapshot?,
        () = stop.asked() => return Ok(()),
    };
    let mut publisher = Publisher::new(
        Arc::clone(&node),
        args.take_over.controllers(),
        Some(openings),
        Arc::clone(&board),
    );
    let model = publisher.translate(&snapshot);
    let proxy = Arc::new(Proxy::start(listeners, options(&args.log, args.limits))?);
    board.started(&proxy, None);
    if !publisher.route(&model, &proxy) {
        return Err(RunError::NotInEffect);
    }
    give_way();
    info!(%node, workers, ?addresses, "serving without XDP");
    drop((snapshot, model));

    let mut ended = std::pin::pin!(proxy.ended());
    loop {
        tokio::select! {
            snapshot = source.next() => {
                let model = publisher.translate(&snapshot?);
                if publisher.route(&model, &proxy) {
                    info!(listeners = model.listeners.len(), "in effect");
                }
            }
            ended = &mut ended => return Err(ended.into()),
            () = stop.asked() => break,
        }
    }

    info!(at_most = ?args.drain_timeout, "draining: nothing new is accepted, open requests finish");
    board.drains();
    drain(&proxy, args.drain_timeout, &mut stop).await;
    Ok(())
}

fn address(opening: &Opening) -> SocketAddr {
    SocketAddr::new(opening.vip.address, opening.vip.port.get())
}

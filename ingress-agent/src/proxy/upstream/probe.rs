//! Endpoints out of use and back.
//!
//! Whoever finds an endpoint unreachable first takes it out of use for all workers and probes it, once a second,
//! until it connects or nobody knows it any more.

use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use super::connect::{ConnectError, connect};
use super::endpoint::Endpoint;
use super::health::HealthState;
use crate::proxy::worker::Worker;

/// From one probe to the next; a probe that takes as long has failed.
const EVERY: Duration = Duration::from_secs(1);

/// Takes an endpoint out of use that could not be connected to.
pub(super) fn eject(worker: &Rc<Worker>, endpoint: &Arc<Endpoint>, why: &ConnectError) {
    if why.is_own() || !endpoint.eject(HealthState::Unreachable, Instant::now()) {
        return;
    }
    tracing::info!(endpoint = %endpoint.target.address, error = %why, "an endpoint is out of use");
    spawn_local(probe(Rc::clone(worker), Arc::downgrade(endpoint)));
}

async fn probe(worker: Rc<Worker>, endpoint: Weak<Endpoint>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    every.tick().await;
    loop {
        every.tick().await;
        let Some(endpoint) = endpoint.upgrade() else {
            return;
        };
        match connect(&worker.tls, &endpoint.target, EVERY).await {
            Ok(connection) => {
                tracing::info!(endpoint = %endpoint.target.address, "an endpoint is in use again");
                endpoint.heal(Instant::now());
                worker.registry.keep(&endpoint, connection);
                return;
            }
            Err(error) => tracing::debug!(%error, "an endpoint stays out of use"),
        }
    }
}

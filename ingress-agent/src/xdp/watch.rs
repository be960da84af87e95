//! Following the network: one task for as long as a data plane is open.
//!
//! Whatever the kernel tells of is only a reason to look again; what was not told is found a few seconds later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::netlink::{Change, Changes};
use super::state::{ApplyError, State};

/// How often everything is read again though nobody told of a change.
const RECHECK: Duration = Duration::from_secs(3);
/// How long word of changes is gathered before it is acted upon.
const GATHER: Duration = Duration::from_millis(20);
/// Looking again takes at most one part in this many of the time, however much changes.
const SHARE: u32 = 5;

/// Keeps the state in line with the network.
pub(super) async fn watch(state: Arc<Mutex<State>>, mut changes: Changes) {
    let mut failing = false;
    loop {
        let change = next(&mut changes).await;
        let start = Instant::now();
        let mut state = state.lock().await;
        let result = if change.any {
            state.settle().await.map(drop)
        } else {
            state.settle_neighbours(&change.neighbours).await
        };
        match result {
            Ok(()) => failing = false,
            Err(error) => {
                // Told once, tried again at the next change or check.
                if !failing {
                    tracing::error!(%error, "the data plane does not follow the network");
                }
                failing = true;
                if matches!(error, ApplyError::Netlink(_)) && state.reconnect().is_err() {
                    tracing::warn!("no new netlink connection");
                }
            }
        }
        drop(state);
        sleep(start.elapsed() * (SHARE - 1)).await;
    }
}

/// Waits for something that may have changed.
async fn next(changes: &mut Changes) -> Change {
    match timeout(RECHECK, changes.next()).await {
        Err(_) => Change::any(),
        Ok(Some(mut change)) => {
            sleep(GATHER).await;
            changes.gather(&mut change);
            change
        }
        Ok(None) => {
            tracing::warn!("the kernel's word of network changes ended; asking for it again");
            sleep(RECHECK).await;
            if let Ok(again) = Changes::subscribe() {
                *changes = again;
            }
            Change::any()
        }
    }
}

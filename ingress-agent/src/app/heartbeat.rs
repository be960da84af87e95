//! The heartbeat's thread: every 100 ms it tells the XDP program that this node takes new connections, as
//! long as it does. A thread of its own, so that control work can never delay it.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::proxy::Proxy;
use crate::xdp::heartbeat::HeartbeatWriter;

/// How often it is written; the program takes one of up to 500 ms for fresh.
const EVERY: Duration = Duration::from_millis(100);

/// A running heartbeat.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread. A beat is written only when every worker of `proxy` has answered in time.
    pub(super) fn start(writer: HeartbeatWriter, proxy: Arc<Proxy>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || runtime.block_on(beat_until(&writer, &proxy, stopped)))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Heartbeat {
    /// From here on SYNs go to other nodes: the last thing the thread writes is "none".
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the heartbeat's thread panicked");
        }
    }
}

async fn beat_until(writer: &HeartbeatWriter, proxy: &Proxy, mut stopped: oneshot::Receiver<()>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut stopped => break,
        }
        let was_alive = std::mem::replace(&mut alive, proxy.pulse().await);
        match (was_alive, alive) {
            (true, false) => warn!("a worker did not answer in time: new connections go to other nodes"),
            (false, true) => warn!("all workers answer again: new connections are taken again"),
            (true, true) | (false, false) => {}
        }
        if alive && let Err(error) = writer.beat() {
            error!(%error, "writing the heartbeat");
        }
    }
    if let Err(error) = writer.stop() {
        error!(%error, "ending the heartbeat; it ends by itself in half a second");
    }
}

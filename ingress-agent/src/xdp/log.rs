//! The programs' own log lines, which only an object built for debugging writes (feature `ebpf-log`).

use std::time::Duration;

use aya::Ebpf;
use aya_log::EbpfLogger;

/// How often the lines are fetched from the kernel's ring.
const EVERY: Duration = Duration::from_millis(50);

/// Hands the lines to the `log` crate for as long as the runtime lives. Does nothing for an object that writes none.
pub(super) fn follow(ebpf: &mut Ebpf) {
    let Ok(mut logger) = EbpfLogger::init(ebpf) else {
        return;
    };
    tracing::info!("the programs write log lines");
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            logger.flush();
        }
    });
}

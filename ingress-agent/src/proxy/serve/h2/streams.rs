//! The tasks of a connection's streams: each stays on its worker, and ends when its client takes too little of
//! an answer.
//!
//! Flow control lets a client take an answer byte by byte, or leave it where it is (HTTP/2 Bomb, CVE-2026-49975);
//! meanwhile hyper holds what the pod sent. A stream that waits for its client, not for its pod, is to hand 16 KiB
//! on within the write limit; else it is reset, the others go on.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use tokio::task::spawn_local;

use crate::proxy::client::{Client, Turn};
use crate::proxy::count::add;
use crate::proxy::deadline::Deadline;

/// What a client is to take of an answer within the write limit.
const LEAST: u64 = 16 * 1024;

/// Where hyper starts a stream's task.
#[derive(Clone, Debug)]
pub(super) struct Streams(pub(super) Rc<Client>);

impl<F> Executor<F> for Streams
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        spawn_local(drive(Rc::clone(&self.0), stream));
    }
}

/// Polls a stream to its end, or until it has waited for its client for too long.
async fn drive(client: Rc<Client>, stream: impl Future) {
    let mut stream = pin!(stream);
    let mut drain = Drain::default();
    let limit = client.worker.options.write;
    poll_fn(|cx| {
        _ = client.take_turn();
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if drain.poll(client.take_turn(), limit, cx).is_pending() {
            return Poll::Pending;
        }
        add(&client.worker.counter.counts().limited.stalled, 1);
        tracing::debug!(peer = %client.peer, "a stream whose client takes too little of its answer is reset");
        Poll::Ready(())
    })
    .await;
}

/// How fast a client takes an answer.
#[derive(Debug, Default)]
struct Drain {
    answered: bool,
    /// While the client is waited for: until when, and what it has taken meanwhile.
    wait: Option<(Instant, u64)>,
    timer: Option<Deadline>,
}

impl Drain {
    /// Ready once the client has been waited for too long.
    fn poll(&mut self, turn: Turn, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.answered |= turn.answered;
        if !self.answered || turn.pod_waits {
            self.wait = None;
            return Poll::Pending;
        }
        let due = match &mut self.wait {
            Some((due, taken)) if *taken + turn.bytes < LEAST => {
                *taken += turn.bytes;
                *due
            }
            wait => {
                let due = Instant::now() + limit;
                *wait = Some((due, 0));
                due
            }
        };
        let timer = self.timer.get_or_insert_with(|| Deadline::new(due));
        timer.set(due);
        timer.poll(cx)
    }
}

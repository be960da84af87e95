//! A connection between requests: after a moment it is taken out of hyper, whose buffers are most of its memory.
//!
//! What is left is the guard around the socket, which holds nothing then. hyper begins anew with the next
//! request's first bytes, with the end of the connection's patience, or when it is to leave: it deals with all of them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncRead;

use crate::proxy::client::Client;
use crate::proxy::deadline::Deadline;
use crate::proxy::guard::Guard;

/// How long a connection is idle before. Under load connections are not, and pay nothing.
pub(super) const MOMENT: Duration = Duration::from_secs(1);

/// Until there is something for hyper to do.
pub(super) async fn rest<S: AsyncRead + Unpin>(
    client: &Client,
    guard: &mut Guard<S>,
    deadline: &mut Deadline,
) {
    poll_fn(|cx| {
        let must_leave = client.worker.open.draining() || client.watch.is_evicted();
        if must_leave || guard.poll_next(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(due) = client.watch.deadline() else {
            return Poll::Pending;
        };
        deadline.set(due);
        if deadline.poll(cx).is_pending() {
            return Poll::Pending;
        }
        client.watch.expire();
        Poll::Ready(())
    })
    .await;
}

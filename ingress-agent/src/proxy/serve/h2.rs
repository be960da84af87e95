//! A client's connection that speaks HTTP/2: limits, and how it ends.
//!
//! Streams become requests of their own, forwarded as HTTP/1.1. Every limit that hyper lets one set is set here,
//! also where its default is the same.

mod heads;
mod streams;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use self::heads::Heads;
use self::streams::Streams;
use crate::proxy::client::Client;
use crate::proxy::count::add;
use crate::proxy::deadline::Deadline;
use crate::proxy::forward;
use crate::proxy::guard::frames::{Event, Frames};
use crate::proxy::guard::h2::MAX_LIST;
use crate::proxy::open::Place;

/// Streams open at a time.
const STREAMS: u32 = 100;
/// A head that h2 itself refuses, with a bare 431 and no access event. Smaller ones are judged by the guard, whose
/// limit is half of this.
const HEAD: u32 = 32 * 1024;
const _: () = assert!(HEAD as usize == 2 * MAX_LIST);
/// What a client may send ahead, per stream and in all.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const FRAME: u32 = 16 * 1024;
/// What waits for one stream's client to read.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client resets before they were looked at, and those that we reset for its faults: with more,
/// h2 ends the connection with ENHANCE_YOUR_CALM (CVE-2023-44487, CVE-2025-8671).
const UNSEEN_RESETS: usize = 20;
const FAULTS: usize = 100;
/// Requests that a client gives up before their answer's end; with more the connection is closed.
const ABANDONED: u32 = 50;
/// How long an idle client has to take leave.
const GOODBYE: Duration = Duration::from_secs(3);

/// Serves the connection to its end.
pub(super) async fn serve<S>(client: Rc<Client>, io: S, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let served = Rc::clone(&client);
    let service = service_fn(move |request| forward::serve(Rc::clone(&served), request));
    let mut heads = Heads::new(Rc::clone(&client));
    let io = Frames::new(io, move |event| match event {
        Event::Flooded => add(&heads.client.worker.counter.counts().limited.flooded, 1),
        Event::HeadBegins => heads.begins(Instant::now()),
        Event::HeadEnds => heads.ends(Instant::now()),
    });
    let streams = Streams(Rc::clone(&client));
    let mut connection = pin!(builder(streams).serve_connection(TokioIo::new(io), service));
    let watch = &client.watch;
    let mut deadline = Deadline::new(watch.deadline().unwrap_or_else(Instant::now));
    let mut registered = false;
    let mut leaving = false;
    let ended = poll_fn(|cx| {
        if !std::mem::replace(&mut registered, true) {
            place.register(cx.waker(), watch);
        }
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            if client.abandoned() > ABANDONED {
                return Poll::Ready(None);
            }
            let must_leave = client.worker.open.draining() || client.asked() >= client.worker.options.life;
            if (must_leave || watch.is_evicted()) && !std::mem::replace(&mut leaving, true) {
                if watch.is_evicted() {
                    watch.expect_within(Instant::now(), GOODBYE);
                }
                // What the client has sent until it reads this is served.
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let Some(due) = watch.deadline() else {
                return Poll::Pending;
            };
            deadline.set(due);
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Who is in the middle of a head reads no farewell.
            if std::mem::replace(&mut leaving, true) || watch.head_begun() {
                return Poll::Ready(None);
            }
            connection.as_mut().graceful_shutdown();
            watch.expect_within(Instant::now(), GOODBYE);
        }
    });
    match ended.await {
        Some(Ok(())) => {}
        Some(Err(error)) => super::broke(&client, &error),
        None => tracing::debug!(peer = %client.peer, "a client's connection was closed"),
    }
}

fn builder(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        .max_local_error_reset_streams(FAULTS);
    builder
}

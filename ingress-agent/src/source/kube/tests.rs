use std::convert::Infallible;
use std::sync::Mutex;

use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use serde_json::json;
use tokio::time::sleep;
use tower::service_fn;

use super::*;

type Piece = Result<Frame<Bytes>, Infallible>;

/// An API server with nothing in it, and what it tells who watches Ingresses.
fn server() -> (Client, UnboundedSender<Piece>) {
    let (events, told) = unbounded::<Piece>();
    let told = Mutex::new(Some(told));
    let client = Client::new(
        service_fn(move |request: Request<Body>| {
            let is_watch = request.uri().query().unwrap_or_default().contains("watch=true");
            let body = if !is_watch {
                let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
                Full::from(list.to_string()).boxed_unsync()
            } else if request.uri().path().ends_with("/ingresses") {
                let told = told.lock().unwrap().take().expect("one watch");
                StreamBody::new(told).boxed_unsync()
            } else {
                StreamBody::new(stream::pending::<Piece>()).boxed_unsync()
            };
            async move { Ok::<_, Infallible>(Response::new(body)) }
        }),
        "default",
    );
    (client, events)
}

/// The event that an Ingress was made.
fn made(number: usize) -> Piece {
    let event = json!({"type": "ADDED", "object": {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "resourceVersion": (number + 2).to_string()},
        "spec": {},
    }});
    Ok(Frame::data(Bytes::from(format!("{event}\n"))))
}

#[tokio::test]
async fn the_first_change_acts_at_once_and_a_burst_every_twenty_milliseconds() {
    let (client, events) = server();
    let node = Arc::from("node-a");
    let scope = Scope {
        node: Arc::clone(&node),
        namespaces: Vec::new(),
        controllers: Controllers::Own,
        fleet: Fleet::Alone,
        pools: false,
    };
    let place = tempfile::tempdir().unwrap();
    let saved = Saved::new(place.path(), place.path(), Identity([1; 32]));
    let (sender, mut snapshots) = channel::channel(Arc::new(Snapshot::empty(&node)));
    let _watching = JoinSet::from_iter([watch(client, scope, saved, Answers::default(), sender)]);
    snapshots.changed().await.unwrap();

    const ALONE: usize = 20;
    let mut fastest = Duration::MAX;
    for number in 0..ALONE {
        sleep(2 * QUIET).await;
        let begin = Instant::now();
        events.unbounded_send(made(number)).unwrap();
        let has_it = |snapshot: &Arc<Snapshot>| snapshot.ingresses.len() > number;
        snapshots.wait_for(has_it).await.unwrap();
        fastest = fastest.min(begin.elapsed());
    }
    assert!(fastest < QUIET / 2, "{fastest:?}");

    const ALL: usize = ALONE + 100;
    sleep(2 * QUIET).await;
    let begin = Instant::now();
    let burst = stream::iter(ALONE..ALL).for_each(async |number| {
        events.unbounded_send(made(number)).unwrap();
        sleep(Duration::from_millis(2)).await;
    });
    let seen = async {
        let mut count = 0;
        while snapshots.borrow_and_update().ingresses.len() < ALL {
            snapshots.changed().await.unwrap();
            count += 1;
        }
        count
    };
    let ((), count) = futures::join!(burst, seen);
    let took = begin.elapsed();
    assert!(count > 2, "while it goes on too: {count}");
    // Whoever waits may see the first late, and so the second soon after it.
    assert!(QUIET * (count - 2) <= took, "{count} in {took:?}");
}

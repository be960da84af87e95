use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use kube::client::Body;

use super::*;
use crate::source::kube::client::strict;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A client that is given these answers in turn.
fn client(answers: impl IntoIterator<Item = Answer>) -> Client {
    let answers: Arc<Mutex<VecDeque<_>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let service = service_fn(move |_: Request<Body>| {
        let answer = lock(&answers).pop_front().unwrap();
        async move { Ok::<_, kube::Error>(answer) }
    });
    strict(Client::new(service, "default"))
}

fn list() -> Answer {
    let list = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#;
    Response::new(Full::from(list).boxed_unsync())
}

fn refusal(code: u16) -> Answer {
    let refusal = Response::builder().status(code).header("retry-after", "7");
    refusal.body(Full::from("no").boxed_unsync()).unwrap()
}

#[tokio::test]
async fn answers_are_heard_and_refusals_are_not() {
    let line = Answers::default().line("ConfigMap");
    let client = line.client(&client([refusal(403), list(), refusal(429), list()]));
    assert_eq!(client.default_namespace(), "default");
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let asked = async || {
        let retry_after = match api.list(&ListParams::default()).await {
            Ok(_) => 0,
            Err(kube::Error::Api(status)) => status.details.unwrap().retry_after_seconds,
            Err(error) => panic!("{error}"),
        };
        (retry_after, *lock(&line.0))
    };
    assert_eq!(asked().await, (7, None));
    let (_, first) = asked().await;
    assert!(first.is_some());
    assert_eq!(asked().await, (7, first));
    assert!(asked().await.1 > first);
}

/// kube takes the answer for events, and an empty one for a watch that has ended: it would begin anew at once.
#[tokio::test]
async fn a_refusal_of_a_watch_is_an_error() {
    let line = Answers::default().line("ConfigMap");
    let empty = Response::builder()
        .status(500)
        .body(Full::default().boxed_unsync());
    let api: Api<ConfigMap> = Api::default_namespaced(line.client(&client([empty.unwrap()])));
    let error = api.watch(&WatchParams::default(), "1").await.err().unwrap();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 500));
    assert_eq!(*lock(&line.0), None);
}

#[tokio::test]
async fn a_bookmark_is_heard() {
    let line = Answers::default().line("ConfigMap");
    let bookmark = "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\
                    \"metadata\":{\"resourceVersion\":\"12\"}}}\n";
    let (sender, pieces) = futures::channel::mpsc::unbounded();
    let body = StreamBody::new(pieces).boxed_unsync();
    let api: Api<ConfigMap> = Api::default_namespaced(line.client(&client([Response::new(body)])));
    let mut events = std::pin::pin!(api.watch(&WatchParams::default(), "1").await.unwrap());
    let begun = *lock(&line.0);
    let piece = Frame::data(Bytes::from_static(bookmark.as_bytes()));
    sender.unbounded_send(Ok::<_, Infallible>(piece)).unwrap();
    assert!(events.next().await.unwrap().is_ok());
    assert!(*lock(&line.0) > begun && begun.is_some());
}

#[test]
fn the_namespace_that_is_silent_longest_is_told() {
    let (answers, begin) = (Answers::default(), Instant::now());
    let [first, second, other] = ["Ingress", "Ingress", "Service"].map(|kind| answers.line(kind));
    first.answered_at(begin);
    assert_eq!(
        answers.before(begin),
        [("Ingress", None), ("Service", None)].into()
    );
    second.answered_at(begin + seconds(5));
    other.answered_at(begin + seconds(9));
    let at = |second: u64| answers.before(begin + seconds(second));
    let told = |ingress, service| {
        [
            ("Ingress", Some(seconds(ingress))),
            ("Service", Some(seconds(service))),
        ]
        .into()
    };
    assert_eq!(at(9), told(9, 0));
    first.answered_at(begin + seconds(10));
    assert_eq!(at(10), told(5, 1));
}

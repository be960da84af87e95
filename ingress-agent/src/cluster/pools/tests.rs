use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Instant;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::service_fn;

use super::*;
use crate::cluster::{clock, leadership};
use crate::digest::{Class, Nodes, class};
use crate::translate::Entry;

fn entry<T>(value: Arc<T>, name: &str) -> Entry<T> {
    let metadata = serde_json::from_value(json!({"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}));
    Entry {
        precedence: crate::digest::Precedence::new(&metadata.unwrap(), &Arc::from(""), 0),
        place: None,
        value,
    }
}

fn our_class(name: &str) -> Entry<Class> {
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": "ingress-agent.dev/xdp"},
    });
    entry(class::digest(serde_json::from_value(class).unwrap(), None), name)
}

/// A pool with two addresses, as the API server has it.
fn pool(version: &str, assignments: &[(&str, &str)]) -> Value {
    let assignments = assignments
        .iter()
        .map(|(address, class)| json!({"address": address, "class": class}));
    json!({
        "apiVersion": "ingress-agent.dev/v1alpha1",
        "kind": "VipPool",
        "metadata": {"name": "edge", "resourceVersion": version},
        "spec": {"addresses": ["192.0.2.1", "192.0.2.2"]},
        "status": {"assignments": assignments.collect::<Vec<_>>()},
    })
}

/// What a leader sees of these classes, and of a pool as it is or was.
fn snapshot(classes: &[&str], pool: &Value) -> Arc<Snapshot> {
    let node = Arc::from("node");
    let pool: VipPool = serde_json::from_value(pool.clone()).unwrap();
    Arc::new(Snapshot {
        classes: classes.iter().map(|name| our_class(name)).collect(),
        pools: vec![entry(vippool::digest(pool, None), "edge")],
        nodes: Some(Arc::new(Nodes::alone(&node))),
        ..Snapshot::empty(&node)
    })
}

/// An API server with one pool that leaves as many requests unanswered as it is told, and what it was written.
fn server(pool: Value, silent: usize) -> (Client, Arc<Mutex<Value>>, mpsc::UnboundedReceiver<Method>) {
    let pool = Arc::new(Mutex::new(pool));
    let (there, silent) = (Arc::clone(&pool), Arc::new(Mutex::new(silent)));
    let (sender, asked) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Body>| {
        let (there, silent) = (Arc::clone(&there), Arc::clone(&silent));
        sender.send(request.method().clone()).ok();
        async move {
            let is_silent = {
                let mut left = silent.lock().unwrap();
                let is_silent = *left > 0;
                *left = left.saturating_sub(1);
                is_silent
            };
            if is_silent {
                pending::<()>().await;
            }
            let answer = if request.method() == Method::PUT {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let new: Value = serde_json::from_slice(&body).unwrap();
                *there.lock().unwrap() = new.clone();
                new
            } else {
                let items = [there.lock().unwrap().clone()];
                json!({"kind": "VipPoolList", "apiVersion": "ingress-agent.dev/v1alpha1", "metadata": {}, "items": items})
            };
            Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
        }
    });
    (Client::new(service, "default"), pool, asked)
}

/// The next request that is not a look.
async fn written(asked: &mut mpsc::UnboundedReceiver<Method>) {
    while asked.recv().await != Some(Method::PUT) {}
}

fn assignments(pool: &Mutex<Value>) -> Vec<String> {
    let pool = pool.lock().unwrap();
    let all = pool.pointer("/status/assignments").and_then(Value::as_array);
    let text = |one: &Value| format!("{} {}", one["address"], one["class"]).replace('"', "");
    all.unwrap().iter().map(text).collect()
}

/// Another leader has given an address that this one's watch does not know of.
#[tokio::test]
async fn a_decision_is_never_written_over_pools_that_it_was_not_made_of() {
    let before = pool("1", &[]);
    let there = pool("2", &[("192.0.2.1", "b")]);
    let (client, stored, mut asked) = server(there.clone(), 0);
    let (leadership, _election) = Leadership::held();
    let (sender, snapshots) = watch::channel(snapshot(&["a"], &before));
    let _recording = JoinSet::from_iter([record(client, Controllers::Own, leadership, snapshots)]);
    assert_eq!(asked.recv().await, Some(Method::GET));
    // It waits for the watch, whatever else comes.
    sender.send_replace(snapshot(&["a", "c"], &before));
    assert_eq!(asked.recv().await, Some(Method::GET));
    assert_eq!(*stored.lock().unwrap(), there);
    sender.send_replace(snapshot(&["a", "b", "c"], &there));
    written(&mut asked).await;
    let given = async {
        while assignments(&stored).len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(ANSWER, given).await.unwrap();
    assert_eq!(assignments(&stored), ["192.0.2.1 b", "192.0.2.2 a"]);
}

#[tokio::test]
async fn a_request_that_is_never_answered_is_given_up_soon() {
    let there = pool("1", &[]);
    let (client, _, mut asked) = server(there.clone(), 1);
    let (leadership, _election) = Leadership::held();
    let (_sender, snapshots) = watch::channel(snapshot(&["a"], &there));
    let begin = Instant::now();
    let _recording = JoinSet::from_iter([record(client, Controllers::Own, leadership, snapshots)]);
    let soon = 2 * (ANSWER + AGAIN);
    timeout(soon, written(&mut asked)).await.expect("it is written");
    assert!(begin.elapsed() >= ANSWER, "the first request was answered");
}

/// Where answers are late a leader may be none for a while, and then is again.
#[tokio::test]
async fn what_is_decided_between_two_late_answers_is_not_lost() {
    let there = pool("1", &[]);
    let (client, _, mut asked) = server(there.clone(), 0);
    let (office, leadership) = leadership::new();
    office.renewed(Duration::ZERO);
    let (_sender, snapshots) = watch::channel(snapshot(&["a"], &there));
    let _recording = JoinSet::from_iter([record(client, Controllers::Own, leadership, snapshots)]);
    let early = timeout(Duration::from_millis(100), written(&mut asked)).await;
    assert!(early.is_err(), "it does not lead");
    office.renewed(clock::now());
    timeout(ANSWER, written(&mut asked)).await.expect("it is written");
}

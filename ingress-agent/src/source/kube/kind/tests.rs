use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Status;
use serde_json::json;

use super::*;

fn arrived(version: &str, text: &str) -> Arrived<ConfigMap> {
    let object = json!({"metadata": {"name": "a", "resourceVersion": version}, "data": {"text": text}});
    serde_json::from_str(&object.to_string()).unwrap()
}

fn text(map: ConfigMap, last: Option<&Arc<String>>) -> Arc<String> {
    let text = map.data.unwrap().remove("text").unwrap();
    match last {
        Some(last) if **last == text => Arc::clone(last),
        Some(_) | None => Arc::new(text),
    }
}

struct Watched(Shelf<String>);

impl Watched {
    fn takes(&mut self, event: Event<Arrived<ConfigMap>>) -> bool {
        take(event, text, &mut self.0)
    }

    fn value(&self) -> Option<String> {
        let key = (Arc::from(""), Arc::from("a"));
        self.0.get(&key).map(|value| String::clone(value))
    }
}

/// OP-7.
#[test]
fn events_that_come_twice_or_late_change_nothing() {
    let mut watched = Watched(Shelf::new("ConfigMap"));
    watched.takes(Event::Init);
    watched.takes(Event::InitDone);
    assert!(watched.takes(Event::Apply(arrived("9", "nine"))));
    assert!(!watched.takes(Event::Apply(arrived("9", "nine"))), "twice");
    assert!(watched.takes(Event::Apply(arrived("10", "ten"))));
    assert!(!watched.takes(Event::Apply(arrived("9", "nine"))), "late");
    assert!(
        !watched.takes(Event::Delete(arrived("8", "eight"))),
        "that of one before it"
    );
    assert_eq!(watched.value().as_deref(), Some("ten"));
    assert!(watched.takes(Event::Delete(arrived("11", "ten"))));
    assert!(!watched.takes(Event::Delete(arrived("11", "ten"))), "twice");
    assert_eq!(watched.value(), None);
}

#[test]
fn a_list_counts_even_where_the_api_server_was_set_back() {
    let mut watched = Watched(Shelf::new("ConfigMap"));
    watched.takes(Event::Apply(arrived("100", "later")));
    watched.takes(Event::Init);
    assert!(watched.takes(Event::InitApply(arrived("5", "restored"))));
    watched.takes(Event::InitDone);
    assert_eq!(watched.value().as_deref(), Some("restored"));
    assert!(watched.takes(Event::Apply(arrived("6", "edited"))));
    assert_eq!(watched.value().as_deref(), Some("edited"));
}

#[test]
fn a_refusal_is_told_from_silence() {
    let status = |code| {
        Box::new(Status {
            code,
            ..Status::default()
        })
    };
    let forbidden = watcher::Error::InitialListFailed(kube::Error::Api(status(403)));
    assert_eq!(refusal(&forbidden), Some(403));
    assert_eq!(refusal(&watcher::Error::WatchError(status(410))), Some(410));
    let silence = kube::Error::ReadEvents(std::io::ErrorKind::TimedOut.into());
    assert_eq!(refusal(&watcher::Error::WatchFailed(silence)), None);
}

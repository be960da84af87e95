use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::core::{ObjectList, PartialObjectMeta, WatchEvent};
use serde_json::{Value, json};

use super::Arrived;
use super::text::Text;

fn ingress(name: &str, version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "resourceVersion": version,
            "creationTimestamp": "2026-11-01T10:00:00Z",
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": spec,
    })
}

fn list(items: &[Value]) -> ObjectList<Arrived<Ingress>> {
    let list = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressList",
        "metadata": {"resourceVersion": "7", "continue": "more"},
        "items": items,
    });
    serde_json::from_str(&list.to_string()).unwrap()
}

/// Of the object of an event that is not of its type: name, version and what is said.
fn refused(event: &Value) -> [String; 3] {
    match serde_json::from_str::<WatchEvent<Arrived<Ingress>>>(&event.to_string()).unwrap() {
        WatchEvent::Added(arrived) | WatchEvent::Modified(arrived) => [
            arrived.name_any(),
            arrived.resource_version().unwrap(),
            arrived.object().unwrap_err().to_string(),
        ],
        other @ (WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_)) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn one_object_of_another_type_does_not_spoil_its_list() {
    let good = json!({"ingressClassName": "xdp"});
    let list = list(&[
        ingress("a", "1", &good),
        ingress("b", "2", &json!({"rules": [{"host": "b.test"}, {"host": 5}]})),
        ingress("c", "3", &good),
    ]);
    assert_eq!(list.metadata.continue_.as_deref(), Some("more"));
    let names: Vec<_> = list.items.iter().map(|arrived| arrived.name_any()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(list.items[0].object().is_ok());
    assert!(list.items[2].object().is_ok());
    let fault = list.items[1].object().unwrap_err().to_string();
    assert!(fault.contains("spec.rules[1].host"), "{fault}");
}

#[test]
fn one_object_of_another_type_does_not_spoil_its_watch() {
    let object = ingress("b", "9", &json!({"ingressClassName": ["xdp"]}));
    let [name, version, fault] = refused(&json!({"type": "MODIFIED", "object": object}));
    assert_eq!([&*name, &*version], ["b", "9"], "from where the watch goes on");
    assert!(fault.contains("spec.ingressClassName"), "{fault}");
    // The members of an object have no order.
    let text = format!("{{\"object\": {object}, \"type\": \"ADDED\"}}");
    assert_eq!(refused(&serde_json::from_str(&text).unwrap())[0], "b");
}

#[test]
fn metadata_of_another_type_keep_what_names_the_object() {
    let mut object = ingress("b", "9", &json!({}));
    object["metadata"]["labels"] = json!({"team": 1});
    let [name, version, fault] = refused(&json!({"type": "ADDED", "object": object}));
    assert_eq!([&*name, &*version], ["b", "9"]);
    assert!(fault.contains("metadata.labels"), "{fault}");
}

#[test]
fn who_wrote_a_field_is_not_kept() {
    let list = list(&[ingress("a", "1", &json!({}))]);
    let arrived = &list.items[0];
    assert_eq!(arrived.metadata.managed_fields, None);
    assert_eq!(arrived.object().unwrap().metadata.managed_fields, None);
    assert!(arrived.metadata.creation_timestamp.is_some());
}

#[test]
fn text_is_the_object_without_who_wrote_which_field() {
    let mut object = json!({
        "metadata": {"name": "a\"\\\u{1}é", "labels": {"managedFields": "kept"}, "managedFields": [{"manager": "x"}]},
        "numbers": [0, -1, u64::MAX, 1.5, true, null],
        "empty": [{}, []],
        "managedFields": "kept",
    });
    let Text(text) = serde_json::from_str(&object.to_string()).unwrap();
    object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), object);
}

#[test]
fn a_bookmark_and_an_error_are_no_objects() {
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"resourceVersion": "12", "creationTimestamp": null},
        "spec": {}, "status": {"loadBalancer": {}},
    }});
    let event = serde_json::from_str::<WatchEvent<Arrived<Ingress>>>(&bookmark.to_string()).unwrap();
    assert!(matches!(event, WatchEvent::Bookmark(bookmark) if bookmark.metadata.resource_version == "12"));
    let gone = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 5 (9)", "reason": "Expired", "code": 410,
    }});
    let event = serde_json::from_str::<WatchEvent<Arrived<Ingress>>>(&gone.to_string()).unwrap();
    assert!(matches!(event, WatchEvent::Error(status) if status.code == 410));
}

#[test]
fn metadata_alone_are_an_object() {
    let partial = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "pair", "namespace": "shop", "resourceVersion": "4"},
    });
    let arrived: Arrived<PartialObjectMeta<Secret>> = serde_json::from_str(&partial.to_string()).unwrap();
    assert_eq!(arrived.name_any(), "pair");
    assert!(arrived.object().is_ok());
}

#[test]
fn what_an_object_holds_is_not_shown() {
    let secret = json!({"metadata": {"name": "pair"}, "data": {"tls.key": "aGlkZGVu"}});
    let arrived: Arrived<Secret> = serde_json::from_str(&secret.to_string()).unwrap();
    assert!(arrived.object().unwrap().data.is_some());
    let shown = format!("{arrived:?}");
    assert!(shown.contains("pair") && !shown.contains("aGlkZGVu"), "{shown}");
}

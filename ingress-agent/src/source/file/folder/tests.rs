use proptest::prelude::*;

use super::*;

/// Documents of every sort: objects with and without rank of their own, a slip, a list, other kinds, no object.
const DOCUMENTS: [&str; 9] = [
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 81}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: b, creationTimestamp: '2024-01-01T00:00:00Z'}, spec: {}}",
    "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: c}, spec: {rules: [{hots: x, host: c.test}]}}",
    "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: d}, spec: {rules: [{host: d.test}]}}",
    "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: e}}, {apiVersion: v1, kind: Pod}]}",
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: f}}",
    "{apiVersion: v1, kind: Secret, metadata: {name: g}, type: Opaque}",
    "# nothing",
];

fn objects(folder: &Folder) -> String {
    let snapshot = folder.snapshot();
    let Snapshot {
        ingresses,
        services,
        secrets,
        foreign,
        findings,
        ..
    } = &snapshot;
    format!("{ingresses:#?} {services:#?} {secrets:#?} {foreign:?} {findings:#?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_read_again_says_what_it_says_when_it_is_new(
        texts in prop::collection::vec(prop::collection::vec(0..DOCUMENTS.len(), 1..8), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (node, name) = (Arc::from("node"), Arc::from("all.yaml"));
        let mut followed = Folder::new(dir.path(), &node);
        for text in texts {
            // Something is always there: an emptied file would keep what it held.
            let documents = text.into_iter().map(|index| DOCUMENTS[index]).chain([DOCUMENTS[6]]);
            let text = documents.collect::<Vec<_>>().join("\n---\n");
            std::fs::write(dir.path().join("all.yaml"), text).unwrap();
            followed.read(&name, Arrival::Whole);
            let mut fresh = Folder::new(dir.path(), &node);
            fresh.read(&name, Arrival::Whole);
            prop_assert_eq!(objects(&followed), objects(&fresh));
        }
    }
}

#[test]
fn a_document_that_did_not_change_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (node, name): (Arc<str>, Arc<str>) = (Arc::from("node"), Arc::from("all.yaml"));
    let mut folder = Folder::new(dir.path(), &node);
    let mut read = |documents: &[&str]| {
        std::fs::write(dir.path().join("all.yaml"), documents.join("\n---\n")).unwrap();
        folder.read(&name, Arrival::Whole);
        let objects = &folder.files.get(&name).unwrap().objects;
        let objects = objects
            .iter()
            .map(|object| (object.name.name.to_string(), object.place.document));
        (objects.collect::<Vec<_>>(), folder.snapshot().services)
    };
    let (_, before) = read(&[DOCUMENTS[0], DOCUMENTS[4]]);
    let (objects, after) = read(&[DOCUMENTS[6], DOCUMENTS[2], DOCUMENTS[0], DOCUMENTS[4]]);
    let names = [("b", 2), ("a", 3), ("d", 4)].map(|(name, document)| (name.to_owned(), document));
    assert_eq!(objects, names);
    assert!(
        after
            .iter()
            .any(|service| Arc::ptr_eq(&service.value, &before[0].value))
    );
    assert!(matches!(
        &after[1].precedence,
        Precedence::Uncreated { position: 1, .. }
    ));
}

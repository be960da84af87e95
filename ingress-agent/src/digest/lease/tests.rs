use proptest::prelude::*;

use super::*;

fn announced() -> Announced {
    Announced {
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        state: MemberState::Active,
        labels: BTreeMap::from([("zone".to_owned(), "a \"b\", c".to_owned())]),
        generation: Some(0x0123_4567_89ab_cdef),
    }
}

fn lease(annotations: BTreeMap<String, String>) -> Lease {
    let object = serde_json::json!({
        "metadata": {"name": "node-a.example", "namespace": "ours", "annotations": annotations},
        "spec": {"holderIdentity": "a.example-1", "renewTime": "2026-11-21T16:00:00.000000Z"},
    });
    serde_json::from_value(object).unwrap()
}

fn good() -> Lease {
    let mut annotations = BTreeMap::new();
    announced().write(&mut annotations);
    let (key, number) = number_annotation(NonZeroU16::new(7).unwrap());
    annotations.insert(key.to_owned(), number);
    lease(annotations)
}

#[test]
fn what_is_written_is_read() {
    let read = digest(good(), None);
    let announced = announced();
    assert_eq!(read.faults, []);
    assert_eq!(&*read.node, "a.example");
    assert_eq!(&*read.holder, "a.example-1");
    assert_eq!(read.addresses, announced.addresses);
    assert_eq!(read.state, MemberState::Active);
    assert_eq!(read.labels, announced.labels);
    assert_eq!(read.generation, announced.generation);
    let member = read.member().unwrap().member;
    assert_eq!((member.number.get(), &*member.name), (7, "a.example"));
}

#[test]
fn a_node_is_ready_where_a_membership_is_in_force() {
    assert!(digest(good(), None).member().unwrap().member.ready);
    let mut starting = good();
    let annotations = starting.metadata.annotations.as_mut().unwrap();
    annotations.insert(GENERATION.to_owned(), String::new());
    assert!(!digest(starting, None).member().unwrap().member.ready);
}

/// As the issue's page shows it: other versions and people read it too.
#[test]
fn the_annotations_as_they_stand_there() {
    let mut annotations = BTreeMap::from([
        ("else".to_owned(), "stays".to_owned()),
        (GENERATION.to_owned(), "1".to_owned()),
        (NUMBER.to_owned(), "9".to_owned()),
    ]);
    let mut announced = announced();
    announced.generation = None;
    announced.state = MemberState::Draining;
    announced.write(&mut annotations);
    let expected = [
        ("else", "stays"),
        ("ingress-agent.dev/addresses", "192.0.2.1,2001:db8::1"),
        ("ingress-agent.dev/generation", ""),
        ("ingress-agent.dev/labels", r#"{"zone":"a \"b\", c"}"#),
        ("ingress-agent.dev/number", "9"),
        ("ingress-agent.dev/state", "draining"),
    ];
    let annotations: Vec<_> = annotations.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(annotations, expected);
}

#[test]
fn a_heartbeat_changes_the_beat_alone() {
    let first = digest(good(), None);
    let mut later = good();
    let renewed = later.spec.as_mut().unwrap().renew_time.as_mut().unwrap();
    // A clock that was set back: still a sign of life.
    renewed.0 = "2016-11-21T16:00:00Z".parse().unwrap();
    assert_ne!(Beat::of(&later), Beat::of(&good()));
    assert_eq!(Beat::of(&good()), Beat::of(&good()));
    assert!(Arc::ptr_eq(&first, &digest(later, Some(&first))));
}

#[test]
fn without_a_number_a_node_is_no_member() {
    let mut unnumbered = good();
    unnumbered.metadata.annotations.as_mut().unwrap().remove(NUMBER);
    let read = digest(unnumbered, None);
    assert_eq!((read.faults.len(), read.number), (0, None));
    assert_eq!(read.member(), None);
}

#[test]
fn what_cannot_be_read_makes_no_member() {
    for (key, value) in [
        (ADDRESSES, None),
        (ADDRESSES, Some("")),
        (ADDRESSES, Some("192.0.2.1,")),
        (ADDRESSES, Some("192.0.2.1, 192.0.2.2")),
        (ADDRESSES, Some("127.0.0.1")),
        (ADDRESSES, Some("::")),
        (STATE, None),
        (STATE, Some("Active")),
        (LABELS, None),
        (LABELS, Some("{\"a\": 1}")),
        (NUMBER, Some("0")),
        (NUMBER, Some("4096")),
        (NUMBER, Some("one")),
        (GENERATION, Some("xyz")),
    ] {
        let mut bad = good();
        let annotations = bad.metadata.annotations.as_mut().unwrap();
        match value {
            Some(value) => annotations.insert(key.to_owned(), value.to_owned()),
            None => annotations.remove(key),
        };
        let read = digest(bad, None);
        assert_eq!(read.member(), None, "{key} {value:?}");
        let [fault] = &*read.faults else {
            panic!("{key} {value:?}: {:?}", read.faults);
        };
        assert_eq!(fault.cause, "node-lease");
        assert_eq!(*fault.field, *format!("metadata.annotations[{key}]"));
    }
    let mut foreign = good();
    foreign.metadata.name = Some("ingress-agent-leader".to_owned());
    let read = digest(foreign, None);
    assert_eq!(read.member(), None);
    assert_eq!(&*read.faults[0].field, "metadata.name");
}

#[test]
fn a_name_that_is_too_long_for_a_lease() {
    assert_eq!(name("a.example").as_deref(), Some("node-a.example"));
    assert_eq!(name(&"a".repeat(248)).map(|name| name.len()), Some(253));
    assert_eq!(name(&"a".repeat(249)), None);
}

proptest! {
    /// Labels and annotations may be edited by anybody who may edit Leases.
    #[test]
    fn any_text_is_read_without_harm(
        key in prop::sample::select(vec![ADDRESSES, STATE, LABELS, NUMBER, GENERATION]),
        text in ".*",
    ) {
        let mut any = good();
        any.metadata.annotations.as_mut().unwrap().insert(key.to_owned(), text);
        let read = digest(any, None);
        prop_assert_eq!(read.member().is_some(), read.faults.is_empty());
    }

    #[test]
    fn every_announcement_is_read_as_it_was_written(
        addresses in prop::collection::vec(any::<IpAddr>().prop_filter("outer", is_outer), 1..4),
        is_active: bool,
        labels: BTreeMap<String, String>,
        generation: Option<u64>,
    ) {
        let state = if is_active { MemberState::Active } else { MemberState::Draining };
        let announced = Announced { addresses, state, labels, generation };
        let mut annotations = BTreeMap::new();
        announced.write(&mut annotations);
        let read = digest(lease(annotations), None);
        prop_assert_eq!(&read.faults, &[]);
        let NodeLease { addresses, state, labels, generation, .. } = (*read).clone();
        prop_assert_eq!(Announced { addresses, state, labels, generation }, announced);
    }
}

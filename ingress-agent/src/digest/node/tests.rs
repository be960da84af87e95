use super::*;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

fn read(nodes: &str, previous: Option<&Arc<Nodes>>, now: u64) -> Result<Arc<Nodes>, Fault> {
    let text = format!("{{\"secret\": \"{SECRET}\", \"nodes\": {nodes}}}");
    digest(serde_json::from_str(&text).unwrap(), previous, now)
}

const TWO: &str = r#"[{"name": "b", "number": 2, "addresses": ["10.0.0.2"], "state": "draining"},
    {"name": "a", "number": 1, "addresses": ["10.0.0.1", "fd00::1"], "labels": {"zone": "x"}}]"#;

#[test]
fn numbers_come_from_the_file_and_not_from_the_position() {
    let nodes = read(TWO, None, 0).unwrap();
    let all: Vec<_> = nodes
        .nodes
        .iter()
        .map(|n| (n.member.number.get(), &*n.member.name, n.member.state))
        .collect();
    assert_eq!(
        all,
        [(1, "a", MemberState::Active), (2, "b", MemberState::Draining)]
    );
    assert_eq!(nodes.secret.as_ref().unwrap().0[..3], [0x00, 0x11, 0x22]);
    assert!(Arc::ptr_eq(&nodes, &read(TWO, Some(&nodes), 1).unwrap()));
}

#[test]
fn a_number_rests_ten_minutes_before_another_node_may_have_it() {
    let both = read(TWO, None, 0).unwrap();
    let one = read(
        r#"[{"name": "a", "number": 1, "addresses": ["10.0.0.1"]}]"#,
        Some(&both),
        100,
    )
    .unwrap();
    let taken = r#"[{"name": "a", "number": 1, "addresses": ["10.0.0.1"]}, {"name": "c", "number": 2, "addresses": ["10.0.0.3"]}]"#;
    let fault = read(taken, Some(&one), 699).unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("number 2 for node `c`, which was node `b`'s"),
        "{fault}"
    );
    assert!(read(taken, Some(&one), 700).is_ok());
    assert!(
        read(taken, Some(&both), 100_000).is_err(),
        "taken over in one edit"
    );
    assert!(read(TWO, Some(&one), 101).is_ok(), "its own node may return");
}

#[test]
fn a_wrong_file_is_refused_whole() {
    for (nodes, found) in [
        ("[]", "no nodes"),
        (r#"[{"name": "a", "number": 0, "addresses": []}]"#, "0"),
        (r#"[{"name": "a", "number": 4096, "addresses": []}]"#, "4096"),
        (
            r#"[{"name": "a", "number": 1, "addresses": []}, {"name": "b", "number": 2, "addresses": ["10.0.0.1"]}]"#,
            "node `a` without addresses",
        ),
        (r#"[{"name": "", "number": 1, "addresses": []}]"#, "an empty name"),
        (
            r#"[{"name": "a", "number": 1, "addresses": ["127.0.0.1"]}]"#,
            "127.0.0.1",
        ),
        (
            r#"[{"name": "a", "number": 1, "addresses": []}, {"name": "a", "number": 2, "addresses": []}]"#,
            "`a` a second time",
        ),
        (
            r#"[{"name": "a", "number": 1, "addresses": []}, {"name": "b", "number": 1, "addresses": []}]"#,
            "1 a second time",
        ),
        (
            r#"[{"name": "a", "number": 1, "addresses": ["10.0.0.1"]}, {"name": "b", "number": 2, "addresses": ["10.0.0.1"]}]"#,
            "10.0.0.1 a second time",
        ),
    ] {
        assert_eq!(&*read(nodes, None, 0).unwrap_err().found, found);
    }
}

#[test]
fn two_nodes_need_a_secret_of_64_hex_digits() {
    let with = |secret: &str| {
        digest(
            serde_json::from_str(&format!("{{{secret} \"nodes\": {TWO}}}")).unwrap(),
            None,
            0,
        )
    };
    assert!(with("").unwrap_err().expected.contains("64 hex digits"));
    for secret in [
        "abc",
        &SECRET[..63],
        &format!("{}g", &SECRET[..63]),
        &format!("{SECRET}00"),
    ] {
        let fault = with(&format!("\"secret\": \"{secret}\",")).unwrap_err();
        assert!(!fault.to_string().contains(secret), "a secret is never shown");
    }
}

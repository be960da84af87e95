//! Which certificate is shown for which name, and what is said about bad ones.

use std::sync::Arc;

use ingress_agent::model::Model;
use ingress_agent::translate::{Controllers, Snapshot, Translator};
use rcgen::{CertificateParams, KeyPair};

use crate::folder::{BASE, causes, folder, ingress, model, policies, read, services, site, with_tls, within};

fn issue(names: &[&str]) -> (String, String) {
    issue_until(names, 2999)
}

fn issue_until(names: &[&str], year: i32) -> (String, String) {
    issue_between(names, 1975, year)
}

fn issue_between(names: &[&str], begin: i32, year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(begin, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn secret(name: &str, (certificate, key): &(String, String)) -> String {
    let indent = |pem: &str| {
        pem.lines()
            .map(|line| format!("\n    {line}"))
            .collect::<String>()
    };
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |{}\n  tls.key: |{}\n",
        indent(certificate),
        indent(key)
    )
}

fn web(name: &str, host: &str, tls: &str) -> String {
    ingress(name, host, &[("Prefix", &format!("/{name}"), "s")]).replace(
        "ingressClassName: ours",
        &format!("ingressClassName: ours\n  tls: {tls}"),
    )
}

/// Names with the Secret whose certificate they are shown.
fn shown(model: &Model) -> Vec<String> {
    site(model)
        .certificates
        .iter()
        .map(|(host, certificate)| format!("{host} {}", certificate.origin.name))
        .collect()
}

fn s() -> String {
    services(&["s"])
}

#[test]
fn a_named_host_gets_the_named_secret() {
    let text = web("w", "a.test", "[{hosts: [A.test, '*.a.test'], secretName: one}]")
        + &secret("one", &issue(&["a.test", "*.a.test"]))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), ["a.test one", "*.a.test one"]);
    assert_eq!(causes(&report), [""; 0]);
    assert!(
        model
            .listeners
            .iter()
            .all(|listener| listener.tls == (listener.vip.port.get() == 443))
    );
}

#[test]
fn a_rules_host_gets_the_first_secret_that_covers_it() {
    let text = web("w", "x.a.test", "[{secretName: one}, {secretName: two}]")
        + &secret("one", &issue(&["b.test"]))
        + &secret("two", &issue(&["*.a.test"]))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), ["x.a.test two"]);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn what_cannot_be_shown_leaves_the_default_certificate_and_is_told() {
    let (a, b) = (issue(&["a.test"]), issue(&["a.test"]));
    let tls = "[{hosts: [a.test], secretName: one}]";
    for (secret, expected, word) in [
        (
            String::new(),
            vec!["Ingress default/w: degraded secret-missing"],
            "does not exist",
        ),
        (
            secret("ones", &a),
            vec!["Ingress default/w: degraded secret-missing"],
            "(nearest: ones)",
        ),
        (
            secret("one", &issue(&["b.test"])),
            vec!["Ingress default/w: degraded certificate-name"],
            "which is for `b.test`",
        ),
        (
            secret("one", &(a.0.clone(), b.1)),
            vec![
                "Ingress default/w: degraded secret-bad",
                "Secret default/one: refused tls-pair",
            ],
            "a private key that is not the certificate's",
        ),
    ] {
        let (model, report) = model(&(web("w", "a.test", tls) + &secret + &s()));
        assert_eq!(shown(&model), [""; 0]);
        assert_eq!(causes(&report), expected);
        let words = report.findings[0].to_string();
        assert!(
            words.contains(word) && words.contains("default certificate"),
            "{words}"
        );
    }
}

#[test]
fn secrets_of_other_namespaces_are_not_found() {
    let elsewhere =
        secret("one", &issue(&["a.test"])).replace("{name: one}", "{name: one, namespace: other}");
    let (model, report) =
        model(&(web("w", "a.test", "[{hosts: [a.test], secretName: one}]") + &elsewhere + &s()));
    assert_eq!(shown(&model), [""; 0]);
    assert_eq!(causes(&report), ["Ingress default/w: degraded secret-missing"]);
}

#[test]
fn the_first_ingress_chooses_a_hosts_certificate() {
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &web("x", "a.test", "[{hosts: [a.test], secretName: two}]")
        + &secret("one", &issue(&["a.test"]))
        + &secret("two", &issue(&["a.test"]))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), ["a.test one"]);
    assert_eq!(causes(&report), ["Ingress default/x: degraded certificate-taken"]);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_shown_and_told() {
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &issue_between(&["a.test"], 2998, 2999))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), ["a.test one"]);
    assert_eq!(causes(&report), ["Secret default/one: degraded tls-early"]);
}

/// OP-15: what is told of a certificate follows the clock, which may jump; what is served does not.
#[test]
fn a_clock_that_jumps_is_told_of_and_changes_nothing_that_is_served() {
    const YEAR: i64 = 365 * 86_400;
    let text = BASE.to_owned()
        + &web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &issue_between(&["a.test"], 2020, 2030))
        + &s();
    let mut snapshot = read(folder(&[("all.yaml", &text)]).path());
    let autumn_of_2026 = 1_795_000_000;
    let mut translator = Translator::default();
    snapshot.time = autumn_of_2026;
    let (first, _) = translator.translate(&snapshot);
    for (jump, cause) in [
        (10 * YEAR, Some("tls-expired")),
        (-3_600, None),
        (-10 * YEAR, Some("tls-early")),
        (0, None),
    ] {
        snapshot.time = autumn_of_2026 + jump;
        let (model, report) = translator.translate(&snapshot);
        let expected = cause.map(|cause| format!("Secret default/one: degraded {cause}"));
        assert_eq!(causes(&report), Vec::from_iter(expected), "{jump}");
        for (now, before) in model.listeners.iter().zip(&first.listeners) {
            assert!(Arc::ptr_eq(&now.site, &before.site), "{jump}");
        }
        assert_eq!(format!("{model:?}"), format!("{first:?}"), "{jump}");
    }
}

#[test]
fn an_expired_certificate_is_shown_and_told() {
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &issue_until(&["a.test"], 2020))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), ["a.test one"]);
    assert_eq!(causes(&report), ["Secret default/one: degraded tls-expired"]);
}

/// OP-15: by whatever way the clock goes; and what a translator has kept is judged anew.
#[test]
fn a_certificate_is_judged_anew_when_it_begins_and_ends() {
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &issue_between(&["a.test"], 2030, 2031))
        + &s();
    let first = read(folder(&[("base.yaml", BASE), ("test.yaml", &text)]).path());
    let [begin, end] = [2030, 2031].map(|year| rcgen::date_time_ymd(year, 1, 1).unix_timestamp());
    let at = |time| Snapshot {
        time,
        ..first.clone()
    };
    let mut translator = Translator::new(Controllers::Own);
    let mut last = at(begin - 1);
    translator.translate(&last);
    for (time, is_other, expected) in [
        (begin, true, None),
        (begin + 1, false, None),
        (end, false, None),
        (end + 1, true, Some("tls-expired")),
        (begin, true, None),
        (begin - 1, true, Some("tls-early")),
        (begin - 100, false, Some("tls-early")),
        (end + 1, true, Some("tls-expired")),
    ] {
        assert_eq!(last.is_judged_otherwise_at(time), is_other, "{time}");
        last = at(time);
        let (_, report) = translator.translate(&last);
        let fresh = Translator::new(Controllers::Own).translate(&last).1;
        assert_eq!(report.findings, fresh.findings);
        let expected = expected.map(|cause| format!("Secret default/one: degraded {cause}"));
        assert_eq!(causes(&report), expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn base64_in_lines_is_read_as_the_api_server_reads_it() {
    let (certificate, key) = issue(&["a.test"]);
    let encode = |pem: &str| {
        let all = serde_json::to_value(k8s_openapi::ByteString(pem.as_bytes().to_vec())).unwrap();
        let lines = all.as_str().unwrap().as_bytes().chunks(76);
        lines
            .map(|line| format!("\n    {}", std::str::from_utf8(line).unwrap()))
            .collect::<String>()
    };
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: one}}\ntype: kubernetes.io/tls\ndata:\n  tls.crt: |{}\n  tls.key: |{}\n",
        encode(&certificate),
        encode(&key)
    );
    let (model, report) =
        model(&(web("w", "a.test", "[{hosts: [a.test], secretName: one}]") + &secret + &s()));
    assert_eq!(causes(&report), [""; 0]);
    assert_eq!(shown(&model), ["a.test one"]);
}

/// What PKCS #8 wraps: its one OCTET STRING, which stands at the end (RFC 5958 section 2).
fn unwrapped(pkcs8: &[u8]) -> &[u8] {
    let content = |rest: &'_ [u8]| match *rest {
        [0x04, 0x82, high, low, ..] => Some((4, usize::from(high) << 8 | usize::from(low))),
        [0x04, 0x81, length, ..] => Some((3, usize::from(length))),
        [0x04, length, ..] => Some((2, usize::from(length))),
        _ => None,
    };
    let ends =
        |at: &usize| content(&pkcs8[*at..]).is_some_and(|(head, length)| at + head + length == pkcs8.len());
    let at = (0..pkcs8.len()).find(ends).unwrap();
    &pkcs8[at + content(&pkcs8[at..]).unwrap().0..]
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = serde_json::to_value(k8s_openapi::ByteString(der.to_vec())).unwrap();
    let lines = text
        .as_str()
        .unwrap()
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap());
    let lines: Vec<_> = lines.collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[test]
fn keys_of_every_usual_kind_and_encoding_are_read() {
    for (algorithm, label) in [
        (&rcgen::PKCS_ED25519, None),
        (&rcgen::PKCS_ECDSA_P256_SHA256, Some("EC PRIVATE KEY")),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Some("EC PRIVATE KEY")),
        (&rcgen::PKCS_RSA_SHA256, Some("RSA PRIVATE KEY")),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let bare = label.map(|label| pem(label, unwrapped(key.serialized_der())));
        // As `openssl ecparam -genkey` writes it.
        let with_parameters = bare.as_ref().map(|bare| pem("EC PARAMETERS", &[6, 0]) + bare);
        for key in [Some(key.serialize_pem()), bare, with_parameters]
            .into_iter()
            .flatten()
        {
            let secret = secret("one", &(certificate.clone(), key));
            let (model, report) =
                model(&(web("w", "a.test", "[{hosts: [a.test], secretName: one}]") + &secret + &s()));
            assert_eq!(causes(&report), [""; 0], "{label:?}");
            assert_eq!(shown(&model), ["a.test one"]);
        }
    }
}

/// TL-10: a key that clients no longer trust is refused, and told with what to change.
#[test]
fn an_rsa_key_of_1024_bits_is_refused_and_told() {
    let run = |arguments: &str| {
        let output = std::process::Command::new("openssl")
            .args(arguments.split(' '))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let dir = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key", "crt"].map(|name| dir.path().join(name));
    run(&format!(
        "req -x509 -newkey rsa:1024 -nodes -subj /CN=a.test -addext subjectAltName=DNS:a.test -days 30 -keyout {} -out {}",
        key.display(),
        certificate.display()
    ));
    let pair = [certificate, key].map(|path| std::fs::read_to_string(path).unwrap());
    let [certificate, key] = pair;
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &(certificate, key))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), [""; 0]);
    let expected = [
        "Ingress default/w: degraded secret-bad",
        "Secret default/one: refused tls-key",
    ];
    assert_eq!(causes(&report), expected);
    let words = report.findings[1].to_string();
    assert!(
        words.contains("2048") && words.contains("issue the certificate anew"),
        "{words}"
    );
}

/// The host's own certificate last, as some authorities' archives have it.
#[test]
fn a_chain_in_wrong_order_is_told_with_what_to_change() {
    let (certificate, key) = issue(&["a.test"]);
    let (issuer, _) = issue(&["issuer.test"]);
    let text = web("w", "a.test", "[{hosts: [a.test], secretName: one}]")
        + &secret("one", &(issuer + &certificate, key))
        + &s();
    let (model, report) = model(&text);
    assert_eq!(shown(&model), [""; 0]);
    let expected = [
        "Ingress default/w: degraded secret-bad",
        "Secret default/one: refused tls-order",
    ];
    assert_eq!(causes(&report), expected);
    let words = report.findings[1].to_string();
    assert!(
        words.contains("place 2") && words.contains("sort the chain"),
        "{words}"
    );
}

/// Nobody else's rules are sent to https, or shown a certificate, by an Ingress that has no rule for the host.
#[test]
fn a_tls_entry_for_other_namespaces_rules_counts_for_nothing() {
    let secret = secret("one", &issue(&["a.test"]));
    let theirs = |namespace| {
        let rule = ingress("older", "b.test", &[("Prefix", "/", "s")]);
        let entry = with_tls(&rule, "a.test").replace("hosts: ", "secretName: one, hosts: ");
        within(namespace, &(entry + &secret))
    };
    let rule = ingress("w", "a.test", &[("Prefix", "/", "s")]) + &s();
    let (model, report) = model(&(rule.clone() + &theirs("evil") + &within("evil", &s())));
    assert_eq!(shown(&model), [""; 0]);
    assert_eq!(causes(&report), ["Ingress evil/older: degraded tls-host-foreign"]);
    assert!(!policies(&model, "a.test", "/").https_redirect);

    // One namespace may have its rules and its certificates apart.
    let (model, report) = self::model(&(rule + &theirs("default")));
    assert_eq!(shown(&model), ["a.test one"]);
    assert_eq!(causes(&report), [""; 0]);
}

//! What `explain` says of the certificate that is shown, and of the protocol that is agreed on.

use ingress_agent::explain::StepName;

use crate::folder::{BASE, folder, ingress, service, within};
use crate::words::{agent, explained, one, step};

/// A Secret with a self-signed pair for `host`, valid until that year.
fn secret(name: &str, host: &str, year: i32) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    let indent = |pem: &str| pem.trim_end().replace('\n', "\n    ");
    format!(
        "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}}}\nstringData:\n  \
         tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(&certificate),
        indent(&key.serialize_pem())
    )
}

fn with_tls(text: &str, tls: &str) -> String {
    let spec = format!("ingressClassName: ours\n  tls: {tls}");
    text.replace("ingressClassName: ours", &spec)
}

#[test]
fn a_certificate_says_for_whom_it_is_and_until_when() {
    let tls = with_tls(&one("a.test", "/"), "[{hosts: [a.test], secretName: pair}]");
    let explanation = explained(
        &(tls.clone() + &secret("pair", "a.test", 2998)),
        "https://a.test/",
    );
    let shown = step(&explanation, StepName::Certificate);
    assert!(shown.ok, "{explanation}");
    assert_eq!(shown.object.as_deref(), Some("Secret default/pair"));
    assert!(
        shown.value.contains("`a.test`, valid until 2998-01-01"),
        "{explanation}"
    );

    let explanation = explained(&(tls + &secret("pair", "a.test", 2020)), "https://a.test/");
    let expired = step(&explanation, StepName::Certificate);
    assert!(!expired.ok && explanation.is_served(), "{explanation}");
    assert_eq!(expired.object.as_deref(), Some("Secret default/pair"));
    assert!(
        expired.why.as_deref().unwrap().contains("expired"),
        "{explanation}"
    );
    assert_eq!(expired.change.as_deref(), Some("renew the certificate"));
}

/// What is wrong with another host's certificate is not this one's reason.
#[test]
fn the_certificates_fault_is_that_of_its_own_host() {
    let text = one("a.test", "/") + &ingress("other", "b.test", &[("Prefix", "/", "web")]);
    let tls = "[{hosts: [a.test], secretName: none}, {hosts: [b.test], secretName: wrong}]";
    let text = with_tls(&text, tls) + &secret("wrong", "c.test", 2998);
    for (url, field, words) in [
        ("https://a.test/", "spec.tls[0].secretName", "default/none"),
        ("https://b.test/", "spec.tls[1].hosts", "which is for `c.test`"),
    ] {
        let explanation = explained(&text, url);
        let certificate = step(&explanation, StepName::Certificate);
        assert_eq!(certificate.field.as_deref(), Some(field), "{explanation}");
        assert!(
            certificate.why.as_deref().unwrap().contains(words),
            "{explanation}"
        );
    }
}

#[test]
fn a_host_without_a_certificate_is_told_and_answers_all_the_same() {
    let explanation = explained(&one("a.test", "/"), "https://a.test/");
    let certificate = step(&explanation, StepName::Certificate);
    assert!(!certificate.ok && explanation.is_served(), "{explanation}");
    assert!(
        certificate
            .change
            .as_deref()
            .unwrap()
            .contains("spec.tls[].hosts")
    );
}

#[test]
fn a_secret_that_is_missing_is_the_certificates_reason() {
    let text = one("a.test", "/").replace(
        "ingressClassName: ours",
        "ingressClassName: ours\n  tls: [{hosts: [a.test], secretName: none}]",
    );
    let explanation = explained(&text, "https://a.test/");
    let certificate = step(&explanation, StepName::Certificate);
    assert_eq!(
        certificate.field.as_deref(),
        Some("spec.tls[0].secretName"),
        "{explanation}"
    );
    assert!(
        certificate
            .change
            .as_deref()
            .unwrap()
            .contains("kubectl create secret tls")
    );
}

/// Two tenants, each with a certificate for its own host.
fn tenants() -> String {
    let tenant = |namespace: &str, host: &str| {
        let web = ingress("web", host, &[("Prefix", "/", "web")]) + &service("web");
        let web = with_tls(&web, &format!("[{{hosts: [{host}], secretName: pair}}]"));
        within(namespace, &(web + &secret("pair", host, 2998)))
    };
    tenant("mine", "a.w.test") + &tenant("theirs", "b.w.test")
}

/// What the data plane does with it: `tests/manifests/tls.rs`.
#[test]
fn a_request_for_anothers_host_is_misdirected() {
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &tenants())]);
    let (code, words) = agent(
        folder.path(),
        &["https://a.w.test/", "--header", "Host: b.w.test"],
    );
    assert_eq!(code, Some(1), "{words}");
    for part in [
        "answer: 421",
        "FAIL  host         `b.w.test`, over a connection for `a.w.test`",
        "from Secret theirs/pair",
        "why: the connection was shown the certificate of Secret mine/pair",
        "to repair: ask for https://b.w.test",
    ] {
        assert!(words.contains(part), "no `{part}` in\n{words}");
    }
    for served in ["https://a.w.test/", "https://b.w.test/"] {
        assert_eq!(agent(folder.path(), &[served]).0, Some(0));
    }
}

/// What each protocol takes: of HTTP/1.1 each field counts, of HTTP/2 all of them together.
#[test]
fn fields_that_are_too_large_are_the_protocols() {
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &one("a.test", "/"))]);
    let large = format!("X: {}", "v".repeat(9 * 1024));
    for (more, code) in [(&[][..], 1), (&["--http1.1"], 0)] {
        let fields = ["https://a.test/", "--header", &large, "--header", &large];
        let arguments: Vec<_> = fields.iter().chain(more).copied().collect();
        let (ended, words) = agent(folder.path(), &arguments);
        assert_eq!(ended, Some(code), "{words}");
        assert_eq!(words.contains("answer: 431"), code == 1, "{words}");
    }
}

#[test]
fn the_protocol_is_what_both_sides_have() {
    let text = one("a.test", "/");
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    for (more, spoken) in [
        (&[][..], "HTTP/2 by ALPN"),
        (&["--http1.1"], "HTTP/1.1 by ALPN"),
        // A change of protocol has no words in HTTP/2.
        (
            &[
                "--header",
                "Upgrade: websocket",
                "--header",
                "Connection: upgrade",
            ],
            "HTTP/1.1 by ALPN",
        ),
    ] {
        let arguments: Vec<_> = ["https://a.test/"].iter().chain(more).copied().collect();
        let (_, words) = agent(folder.path(), &arguments);
        assert!(words.contains(spoken), "{more:?}: {words}");
    }
}

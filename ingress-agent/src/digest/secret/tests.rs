use rcgen::{CertificateParams, KeyPair};

use super::*;

fn issue(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn secret(certificate: &str, key: &str) -> ApiSecret {
    ApiSecret {
        metadata: serde_json::from_value(serde_json::json!({"name": "s", "namespace": "shop"})).unwrap(),
        string_data: Some(BTreeMap::from([
            ("tls.crt".to_owned(), certificate.to_owned()),
            ("tls.key".to_owned(), key.to_owned()),
        ])),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..ApiSecret::default()
    }
}

#[test]
fn a_good_pair_is_kept_with_its_names() {
    let (certificate, key) = issue(&["a.test", "*.b.test"]);
    let value = digest(secret(&certificate, &key), None).unwrap();
    assert_eq!(value.faults, []);
    let names: Vec<_> = value
        .pair
        .as_ref()
        .unwrap()
        .names
        .iter()
        .map(Host::to_string)
        .collect();
    assert_eq!(names, ["a.test", "*.b.test"]);
    assert!(Arc::ptr_eq(
        &value,
        &digest(secret(&certificate, &key), Some(&value)).unwrap()
    ));
}

#[test]
fn a_bad_pair_keeps_the_last_good_one_and_tells() {
    let (certificate, key) = issue(&["a.test"]);
    let (_, other) = issue(&["a.test"]);
    let good = digest(secret(&certificate, &key), None).unwrap();
    for (certificate, key, cause) in [
        (certificate.as_str(), other.as_str(), "tls-pair"),
        (&certificate, "", "tls-missing"),
        ("", &key, "tls-missing"),
        ("nonsense", &key, "tls-certificate-pem"),
        (&certificate, "nonsense", "tls-key-pem"),
        (&certificate, &certificate, "tls-key-pem"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "tls-certificate",
        ),
    ] {
        let alone = digest(secret(certificate, key), None).unwrap();
        assert_eq!(alone.pair, None, "{cause}");
        let after = digest(secret(certificate, key), Some(&good)).unwrap();
        assert_eq!(after.pair, good.pair, "{cause}");
        assert_eq!(after.faults[0].cause, cause);
        assert_ne!(alone.faults[0].consequence, after.faults[0].consequence);
        let again = digest(secret(certificate, key), Some(&after)).unwrap();
        assert!(Arc::ptr_eq(&after, &again));
    }
}

#[test]
fn a_chain_out_of_order_is_told() {
    let (certificate, key) = issue(&["a.test"]);
    let (stranger, _) = issue(&["b.test"]);
    let chain = format!("{certificate}{stranger}");
    // Both are self-signed with rcgen's default subject, so that only a different subject tells them apart.
    let mut params = CertificateParams::new(vec!["c.test".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "another");
    let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    assert_eq!(digest(secret(&chain, &key), None).unwrap().faults, []);
    let value = digest(secret(&format!("{certificate}{other}"), &key), None).unwrap();
    assert_eq!(value.faults[0].cause, "tls-order");
    assert!(value.pair.is_some());
}

#[test]
fn a_secret_that_is_no_key_pair_is_dropped() {
    let opaque = ApiSecret {
        type_: Some("Opaque".to_owned()),
        ..ApiSecret::default()
    };
    assert_eq!(digest(opaque, None), None);
}

#[test]
fn a_chain_that_begins_with_its_issuer_is_told_as_such() {
    let (certificate, key) = issue(&["a.test"]);
    let (issuer, _) = issue(&["b.test"]);
    let value = digest(secret(&format!("{issuer}{certificate}"), &key), None).unwrap();
    assert_eq!(value.faults[0].cause, "tls-order");
    assert!(value.faults[0].found.contains("place 2"), "{}", value.faults[0]);
    assert_eq!(value.pair, None);
}

/// Whatever is wrong with a key, no word of it is in what is said, nor in what a value prints.
#[test]
fn the_private_key_is_never_told() {
    let (certificate, key) = issue(&["a.test"]);
    let secrets: Vec<&str> = key.lines().filter(|line| !line.starts_with("--")).collect();
    let body = secrets.concat();
    for broken in [
        key.replace('\n', ""),
        key.replace('\n', " "),
        key.replace('\n', "\\n"),
        key.replacen("-----\n", "", 1),
        key.replace("-----END", "----END"),
        key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        format!("{}%", &key[..key.len() - 40]),
        body.clone(),
    ] {
        for (certificate, key) in [(certificate.as_str(), broken.as_str()), (&broken, &key)] {
            let value = digest(secret(certificate, key), None).unwrap();
            let told = format!("{} {value:?}", value.faults[0]);
            assert_eq!(value.pair, None, "{told}");
            for piece in body
                .as_bytes()
                .chunks(12)
                .map(|piece| std::str::from_utf8(piece).unwrap())
            {
                assert!(!told.contains(piece), "{told}");
            }
            let bytes: Vec<_> = body.bytes().take(6).map(|byte| byte.to_string()).collect();
            assert!(!told.contains(&bytes.join(", ")), "{told}");
        }
    }
    let good = digest(secret(&certificate, &key), None).unwrap();
    assert!(format!("{good:?}").contains("PrivateKey(..)"));
}

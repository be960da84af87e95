//! The mistakes that others' CVEs were made of (`spec/safety.md` section 2), each held by a test of its name.
//!
//! | CVE | mistake | test |
//! |---|---|---|
//! | 2021-25742, 2023-5043 | snippets: a tenant's code in the shared data plane | `cve_2021_25742_snippets` |
//! | 2021-25745, 2021-25748, 2022-4886, 2026-24512, 2026-3288 | a path that is pasted into a configuration | `cve_2021_25745_paths` |
//! | 2021-25746, 2024-7646, 2026-4342 | any annotation with CR, LF, quotes, a comment | `cve_2021_25746_annotations`; every name in `translate/walk.rs` |
//! | 2023-5044 | `permanent-redirect` | `cve_2023_5044_permanent_redirect` |
//! | 2025-24514, 2025-1097, 2025-1098, 2025-15566, 2026-1580 | `auth-url`, `auth-tls-match-cn`, `mirror-*`, `auth-proxy-set-headers`, `auth-method` | `cve_2025_24514_auth_url` and the four after it |
//! | #14664 | an alias passes the check of its name | `an_alias_is_checked_as_its_name` |
//! | 2020-8553 | a namespace and a name joined by a hyphen | `cve_2020_8553_joined_names` |
//! | 2025-24513 | a file by a Secret's name or key | `cve_2025_24513_secret_names`, `cve_2025_24513_secret_keys` |
//! | GHSA-4mr2-fg2p-w63c, 2026-24513 | authentication that fails open | `ghsa_4mr2_authentication_that_cannot_be_had` |
//! | 2021-32783 | an ExternalName or an address that leads to the node itself | `cve_2021_32783_external_name`, `cve_2021_32783_endpoints` |
//! | 2026-48020, GHSA-gm3x, #13227 | two views of one path | `cve_2026_48020_two_views_of_a_path`; `proxy/corpus.rs` |
//! | 2025-1974, 2026-24514 | an admission webhook that runs what it judges | there is none: `check` is the same pure function that serves |

use crate::folder::{annotated, ingress, services, within};
use crate::tls::secret;
use crate::world::World;

/// A tenant of his own on the same host, who must never notice.
fn bystander() -> String {
    let text = ingress("bystander", "a.test", &[("Prefix", "/theirs", "s")]) + &services(&["s"]);
    within("other", &text)
}

/// An annotation of a tenant's closes his own route, and his alone.
#[track_caller]
fn assert_closed(annotation: &str, value: &str) {
    let annotation = format!("nginx.ingress.kubernetes.io/{annotation}: {value:?}");
    let text = annotated("web", "a.test", &[("Prefix", "/mine", "s")], &annotation) + &services(&["s"]);
    let world = World::start(&(text + &bystander()));
    world.assert_answers(&[("a.test", "/mine", "503"), ("a.test", "/theirs", "other/s")]);
    assert_eq!(world.pod("other/s").take_requests().len(), 1, "{annotation}");
    assert_eq!(world.report.findings.len(), 1, "{annotation}");
}

#[test]
fn cve_2021_25742_snippets() {
    for name in [
        "auth-snippet",
        "configuration-snippet",
        "modsecurity-snippet",
        "server-snippet",
        "stream-snippet",
        "location-snippet",
    ] {
        assert_closed(name, "set_by_lua_block $x { return io.popen('id'):read('*a') }");
    }
}

#[test]
fn cve_2021_25745_paths() {
    for path in [
        "/x\n}\nlocation /theirs {",
        "/x\r",
        "/x\0y",
        "/x;} location /theirs { return 200",
        "/\\\"; return 200 x; #",
        "/x//../theirs",
        "/x/%2e%2e/theirs",
        "/x/..%2ftheirs",
    ] {
        // JSON, in which every character can be written.
        let quoted = serde_json::to_string(path).unwrap();
        let text = ingress(
            "web",
            "a.test",
            &[("ImplementationSpecific", "/PATH", "s"), ("Prefix", "/mine", "s")],
        );
        let text = text.replace("'/PATH'", &quoted) + &services(&["s"]) + &bystander();
        let world = World::start(&text);
        world.assert_answers(&[
            ("a.test", "/mine", "s"),
            ("a.test", "/theirs", "other/s"),
            ("a.test", "/x", "404"),
        ]);
        assert_eq!(world.report.findings.len(), 1, "{path:?}");
    }
}

#[test]
fn cve_2021_25746_annotations() {
    for value in ["a\r\n}", "a\nb", "a\0", "\"; }", "${x}", "# comment", "$(id)"] {
        for name in [
            "auth-realm",
            "rewrite-target",
            "server-alias",
            "proxy-ssl-name",
            "whitelist-source-range",
        ] {
            assert_closed(name, value);
        }
    }
}

#[test]
fn cve_2023_5044_permanent_redirect() {
    assert_closed(
        "permanent-redirect",
        "https://b.test;} location /theirs { return 200; }",
    );
}

#[test]
fn cve_2025_24514_auth_url() {
    assert_closed("auth-url", "http://auth/#;load_module /tmp/x.so;");
}

#[test]
fn cve_2025_1097_auth_tls_match_cn() {
    assert_closed("auth-tls-match-cn", "CN=x #(\n){}\n}}\nssl_engine /tmp/x.so;");
}

/// Cosmetic: nothing is mirrored, and nothing of the text goes anywhere.
#[test]
fn cve_2025_1098_mirror() {
    let mirror = "nginx.ingress.kubernetes.io/mirror-target: \"http://127.0.0.1:1/\\r\\nX-Evil: 1\", \
                  nginx.ingress.kubernetes.io/mirror-host: \"x\\n}\"";
    let text = annotated("web", "a.test", &[("Prefix", "/", "s")], mirror) + &services(&["s"]);
    let world = World::start(&(text + &bystander()));
    world.assert_answers(&[("a.test", "/", "s"), ("a.test", "/theirs", "other/s")]);
    let log = world.pod("s").take_log().concat();
    assert!(!String::from_utf8_lossy(&log).contains("Evil"));
    assert_eq!(world.report.findings.len(), 2);
}

#[test]
fn cve_2025_15566_auth_proxy_set_headers() {
    assert_closed("auth-proxy-set-headers", "default/headers\n}");
}

#[test]
fn cve_2026_1580_auth_method() {
    assert_closed("auth-method", "GET\n}");
}

#[test]
fn an_alias_is_checked_as_its_name() {
    assert_closed("whitelist-source-range", "10.0.0.0/8");
    assert_closed("limit-whitelist", "10.0.0.0/8");
}

/// K8-4.
#[test]
fn cve_2020_8553_joined_names() {
    let of = |namespace: &str, name: &str, host: &str| {
        within(
            namespace,
            &(ingress(name, host, &[("Prefix", "/", name)]) + &services(&[name])),
        )
    };
    World::start(&(of("a-b", "c", "one.test") + &of("a", "b-c", "two.test")))
        .assert_answers(&[("one.test", "/", "a-b/c"), ("two.test", "/", "a/b-c")]);
}

/// No Secret is a file: one that is named by a path is none, and its host is shown the default certificate.
#[test]
fn cve_2025_24513_secret_names() {
    for name in [
        "../../../etc/passwd",
        "other/tls",
        "/var/run/secrets/token",
        "tls\0.pem",
    ] {
        let tls = format!("ingressClassName: ours\n  tls: [{{hosts: [a.test], secretName: {name:?}}}]");
        let off = "ingress-agent.dev/ssl-redirect: 'false'";
        let text = annotated("web", "a.test", &[("Prefix", "/", "s")], off) + &services(&["s"]);
        let world = World::start(&text.replace("ingressClassName: ours", &tls));
        world.assert_answers(&[("a.test", "/", "s")]);
        assert_eq!(
            crate::folder::causes(&world.report),
            ["Ingress default/web: degraded secret-missing"]
        );
        assert!(
            crate::folder::site(&world.model).certificates.is_empty(),
            "{name:?}"
        );
    }
}

/// K8-4: what a Secret has under the name of a file elsewhere is not read, and makes no file.
#[test]
fn cve_2025_24513_secret_keys() {
    let off = "ingress-agent.dev/ssl-redirect: 'false'";
    let tls = "ingressClassName: ours\n  tls: [{hosts: [a.test], secretName: pair}]";
    let web = annotated("web", "a.test", &[("Prefix", "/", "s")], off).replace("ingressClassName: ours", tls)
        + &services(&["s"]);
    let whole = secret("pair", &["a.test"]);
    let astray = whole
        .replace("\"tls.crt\":", "\"../tls.crt\":")
        .replace("\"tls.key\":", "\"../../../../tmp/tls.key\":");
    assert!(astray.contains("../tls.crt") && astray.contains("/tmp/tls.key"));
    let world = World::start(&(web.clone() + &astray));
    world.assert_answers(&[("a.test", "/", "s")]);
    assert!(crate::folder::site(&world.model).certificates.is_empty());
    assert!(!world.report.findings.is_empty());
    // Beside its own keys they do not matter.
    let both = whole.replace(
        "stringData: {",
        "stringData: {\"../tls.crt\": other, \"/tmp/tls.key\": other, ",
    );
    let world = World::start(&(web + &both));
    assert_eq!(crate::folder::site(&world.model).certificates.len(), 1);
    assert!(world.report.findings.is_empty());
}

/// K8-5: whatever is wrong with what the annotation names, the pod hears nothing.
#[test]
fn ghsa_4mr2_authentication_that_cannot_be_had() {
    for (name, value) in [
        ("auth-secret", "missing"),
        ("auth-secret", "other/secret"),
        ("auth-type", "basic"),
        ("auth-type", "nonsense"),
        ("auth-url", "not a url"),
        ("auth-tls-secret", "missing"),
        ("auth-signin", "x"),
        ("AUTH-TYPE", "basic"),
        ("auth-typ", "basic"),
    ] {
        assert_closed(name, value);
    }
}

#[test]
fn cve_2021_32783_external_name() {
    for name in [
        "localhost",
        "127.0.0.1",
        "169.254.169.254",
        "kubernetes.default.svc",
        "b.test",
    ] {
        let service = format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{type: ExternalName, externalName: '{name}', ports: [{{port: 80}}]}}\n"
        );
        let world = World::start(&(ingress("web", "a.test", &[("Prefix", "/", "s")]) + &service));
        world.assert_answers(&[("a.test", "/", "503")]);
        assert_eq!(world.report.findings.len(), 1, "{name}");
    }
}

/// K8-6: whoever may write EndpointSlices does not reach the node's own services, nor our VIP.
#[test]
fn cve_2021_32783_endpoints() {
    for address in [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "169.254.169.254",
        "224.0.0.1",
        "192.0.2.10",
    ] {
        let text = ingress("web", "a.test", &[("Prefix", "/", "s")])
            + &services(&["s"]).replace("10.1.0.1", address);
        let world = World::start(&text);
        world.assert_answers(&[("a.test", "/", "503")]);
        assert!(!world.report.findings.is_empty(), "{address}");
    }
}

/// What protects a path protects it in every spelling that a pod could take for it.
#[test]
fn cve_2026_48020_two_views_of_a_path() {
    let auth = "nginx.ingress.kubernetes.io/auth-type: basic";
    let text = annotated("admin", "a.test", &[("Prefix", "/admin", "s")], auth)
        + &ingress("web", "a.test", &[("Prefix", "/", "s")])
        + &services(&["s"]);
    let world = World::start(&text);
    for path in [
        "/admin",
        "/admin/",
        "//admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/.//admin/x",
        "/%61dmin",
        "/adm%69n/x",
        "/x/.%2E/admin",
        "/x;y/../admin",
    ] {
        world.assert_answers(&[("a.test", path, "503")]);
    }
    for path in ["/\\admin", "/%00/admin", "/../admin", "/%zz/../admin"] {
        world.assert_answers(&[("a.test", path, "400")]);
    }
    assert!(world.pods_are_untouched());
    world.assert_answers(&[("a.test", "/administrator", "s")]);
}

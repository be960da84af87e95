//! Broken and surprising manifests: each costs itself alone, and is told in words that say what to change.

use ingress_agent::check;

use crate::folder::{BASE, causes, folder, ingress, model, model_of, read, routes, services, site};

fn good() -> String {
    ingress("good", "good.test", &[("Prefix", "/", "s")]) + &services(&["s"])
}

/// The corpus: a manifest, and words that must be said of it.
const BROKEN: &[(&str, &[&str])] = &[
    ("a: [", &["File broken.yaml (broken.yaml, document 1)", "line 1"]),
    ("just text", &["without `apiVersion` and `kind`"]),
    ("- a\n- b\n", &["without `apiVersion` and `kind`"]),
    (
        "apiVersion: v1\nmetadata: {name: x}\n",
        &["without `apiVersion` and `kind`"],
    ),
    ("a: 1\na: 2\n", &["File broken.yaml", "duplicate"]),
    ("kind: Service\nspec:\n\tports: []\n", &["File broken.yaml"]),
    (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]\n",
        &["File broken.yaml", "alias"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec:\n  ingressClassName: ours\n  rules:\n  - host: 5\n",
        &[
            "Ingress default/x (broken.yaml, document 1)",
            "spec.rules[0].host",
            "expected a string",
            "(line 7)",
        ],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x, annotations: {nginx.ingress.kubernetes.io/use-regex: true}}\nspec: {}\n",
        &[
            "metadata.annotations",
            "boolean `true`, expected a string",
            "(line 3)",
        ],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: eighty}]}\n",
        &["Service default/x", "spec.ports[0].port", "eighty"],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {}\n",
        &["Service default/(unnamed)", "metadata.name", "name the object"],
    ),
    (
        "apiVersion: v1\nkind: Service\nmetadata: {name: 5}\n",
        &["metadata.name", "expected a string"],
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {tls.crt: '%%%', tls.key: ''}\n",
        &["Secret default/x", "data", "(line 4)"],
    ),
    (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/tls\n",
        &["Secret default/x", "data.tls.crt", "kubectl create secret tls"],
    ),
    (
        "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {name: x}\nspec: {addresses: 192.0.2.1}\n",
        &["VipPool x", "spec.addresses"],
    ),
    (
        "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {name: x}\nspec: {addresses: [192.0.2.300], classes: [none]}\n",
        &["VipPool x", "spec.addresses[0]", "192.0.2.300"],
    ),
    (
        "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {name: x}\nspec: {addresses: [], announce: BGP}\n",
        &["VipPool x", "spec.announce", "BGP"],
    ),
    (
        "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: x}\n",
        &["Ingress default/x", "removed", "apiVersion: networking.k8s.io/v1"],
    ),
    (
        "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: x}\n",
        &["Ingress default/x", "removed"],
    ),
    (
        "apiVersion: v1\nkind: List\nitems: 5\n",
        &["items", "a list of objects"],
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- 5\n- {kind: Service}\n",
        &["without `apiVersion` and `kind`"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: IngressList\nitems:\n- metadata: {name: x}\n  spec: {rules: 7}\n",
        &["Ingress default/x", "spec.rules", "(line 5)"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {ingressClassName: ours}\n",
        &["neither `rules` nor `defaultBackend`"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {ingressClassName: ours, rules: [{http: {paths: []}}]}\n",
        &["spec.rules[0].http.paths", "at least one path"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {ingressClassName: ours, defaultBackend: {serviceName: s, servicePort: 80}}\n",
        &["v1beta1", "service: {name: NAME"],
    ),
    (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {ingressClassName: ours, rules: [{host: a.test, htpp: {}, paths: [1]}]}\n",
        &["spec.rules[0].paths", "correct its name or its indentation"],
    ),
    (
        "apiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {name: x}\nspec: {addresses: [192.0.2.1], nodeSelector: {zone: a}}\n",
        &["VipPool x", "spec.nodeSelector.zone", "the pool is not used"],
    ),
];

#[test]
fn what_is_broken_is_told_and_costs_itself_alone() {
    let (alone, _) = model(&good());
    for (text, words) in BROKEN {
        let (model, report) = model_of(&[("base.yaml", BASE), ("broken.yaml", text), ("test.yaml", &good())]);
        assert_eq!(
            routes(site(&model), "good.test"),
            routes(site(&alone), "good.test"),
            "{text}"
        );
        let told: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        for word in *words {
            assert!(
                told.iter().any(|told| told.contains(word)),
                "{text}\nwanted: {word}\ntold: {told:#?}"
            );
        }
    }
}

#[test]
fn a_broken_document_leaves_the_others_of_its_file() {
    for (text, _) in BROKEN {
        let (model, report) = model(&format!(
            "{}\n---\n{text}\n---\n{}",
            good(),
            ingress("after", "after.test", &[("Prefix", "/", "s")])
        ));
        assert!(routes(site(&model), "good.test").is_some(), "{text}");
        assert!(routes(site(&model), "after.test").is_some(), "{text}");
        assert!(!report.findings.is_empty(), "{text}");
    }
}

#[test]
fn unknown_kinds_are_ignored() {
    let text = good()
        + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: e}\n";
    let dir = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let snapshot = read(dir.path());
    assert_eq!(
        snapshot.foreign.iter().collect::<Vec<_>>(),
        ["Deployment (apps/v1)"]
    );
    assert_eq!(causes(&ingress_agent::translate::translate(&snapshot).1), [""; 0]);
}

#[test]
fn a_thousand_documents_in_a_file() {
    let many: String = (0..1000)
        .map(|i| ingress(&format!("i{i}"), &format!("h{i}.test"), &[("Prefix", "/", "s")]))
        .collect();
    let (model, report) = model(&(many + &services(&["s"])));
    assert_eq!(site(&model).hosts.len(), 1000);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn lists_json_bom_and_crlf_are_read_as_kubectl_prints_them() {
    let list = "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n".to_owned()
        + "- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {\"apiVersion\":\"networking.k8s.io/v1\"}
    creationTimestamp: \"2024-05-01T10:00:00Z\"
    generation: 1
    managedFields:
    - apiVersion: networking.k8s.io/v1
      fieldsType: FieldsV1
      fieldsV1:
        f:spec: {}
      manager: kubectl
      operation: Update
      time: \"2024-05-01T10:00:00Z\"
    name: listed
    namespace: default
    resourceVersion: \"42\"
    uid: 0f0f0f0f-0000-4000-8000-000000000000
  spec:
    ingressClassName: ours
    rules:
    - host: listed.test
      http:
        paths:
        - backend:
            service:
              name: s
              port:
                number: 80
          path: /
          pathType: Prefix
  status:
    loadBalancer:
      ingress:
      - ip: 192.0.2.10
";
    let json = r#"{"kind":"Ingress","apiVersion":"networking.k8s.io/v1","metadata":{"name":"json"},"spec":{"ingressClassName":"ours",
        "rules":[{"host":"json.test","http":{"paths":[{"path":"\/","pathType":"Prefix","backend":{"service":{"name":"s","port":{"number":80}}}}]}}]}}"#;
    let dos = format!(
        "\u{feff}# a comment\n{}",
        ingress("dos", "dos.test", &[("Prefix", "/", "s")])
    )
    .replace('\n', "\r\n");
    let (model, report) = model_of(&[
        ("base.yaml", BASE),
        ("l.yml", &list),
        ("j.json", json),
        ("d.yaml", &dos),
        ("s.yaml", &services(&["s"])),
    ]);
    assert_eq!(causes(&report), [""; 0]);
    for host in ["listed.test", "json.test", "dos.test"] {
        assert!(routes(site(&model), host).is_some(), "{host}");
    }
}

#[test]
fn an_object_that_stands_twice_counts_once() {
    let web = |service| ingress("web", "a.test", &[("Prefix", "/", service)]);
    let files = [
        ("a.yaml", web("s")),
        ("b.yaml", web("t")),
        ("base.yaml", BASE.to_owned()),
        ("s.yaml", services(&["s", "t"])),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (model, report) = model_of(&files);
    assert_eq!(routes(site(&model), "a.test").unwrap(), ["Prefix / -> s"]);
    assert_eq!(causes(&report), ["Ingress default/web: refused duplicate"]);
    let words = report.findings[0].to_string();
    assert!(
        words.contains("(b.yaml, document 1)") && words.contains("a.yaml, document 1"),
        "{words}"
    );
}

#[test]
fn files_that_are_no_manifests_are_left_alone() {
    let (model, report) = model_of(&[
        ("base.yaml", BASE),
        ("README.md", "a: ["),
        (".hidden.yaml", "a: ["),
        ("x.yaml~", "a: ["),
        ("empty.yaml", ""),
        ("comment.yaml", "# nothing\n---\n"),
    ]);
    assert_eq!(causes(&report), [""; 0]);
    assert_eq!(model.listeners.len(), 4);
}

#[test]
fn what_is_not_text_is_told() {
    let dir = folder(&[("base.yaml", BASE)]);
    std::fs::write(dir.path().join("binary.yaml"), b"a: \xff\xfe").unwrap();
    std::fs::create_dir(dir.path().join("folder.yaml")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("pipe.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let (_, report) = ingress_agent::translate::translate(&read(dir.path()));
    let expected = ["binary", "folder", "pipe"].map(|name| format!("File {name}.yaml: refused file"));
    assert_eq!(causes(&report), expected);
}

fn checked(files: &[(&str, &str)]) -> (check::Outcome, String) {
    let mut out = Vec::new();
    let outcome = check::run(folder(files).path(), check::Options::default(), &mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

#[test]
fn check_says_accepted_degraded_and_refused_and_ends_accordingly() {
    let (outcome, text) = checked(&[("base.yaml", BASE), ("test.yaml", &good())]);
    assert_eq!(outcome, check::Outcome::Passed);
    assert!(
        text.contains("accepted  Ingress default/good  (test.yaml, document 1)"),
        "{text}"
    );
    assert!(text.ends_with("3 accepted, 0 degraded, 0 refused\n"), "{text}");
    let degraded = ingress("bad", "bad.test", &[("Prefix", "/", "missing")]);
    let (outcome, text) = checked(&[("base.yaml", BASE), ("test.yaml", &(good() + &degraded))]);
    assert_eq!(outcome, check::Outcome::Passed);
    assert!(text.contains("degraded  Ingress default/bad"), "{text}");
    let refused = ingress("bad", "b..d", &[("Prefix", "x", "missing"), ("Odd", "/", "s")]);
    let (outcome, text) = checked(&[("base.yaml", BASE), ("test.yaml", &(good() + &refused))]);
    assert_eq!(outcome, check::Outcome::Failed);
    assert!(text.contains("refused   Ingress default/bad"), "{text}");
}

#[test]
fn check_tells_all_faults_of_an_object_at_once() {
    let refused = ingress(
        "bad",
        "bad.test",
        &[
            ("Prefix", "x", "s"),
            ("Odd", "/", "s"),
            ("Prefix", "/c", "missing"),
        ],
    );
    let (_, text) = checked(&[("base.yaml", BASE), ("test.yaml", &(good() + &refused))]);
    for field in [
        "spec.rules[0].http.paths[0].path",
        "spec.rules[0].http.paths[1].pathType",
        "spec.rules[0].http.paths[2].backend",
    ] {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[test]
fn check_judges_no_endpoints_or_secrets_where_there_are_none() {
    let service = services(&["s"]);
    let service = service.split("---").nth(1).unwrap();
    let web = ingress("web", "a.test", &[("Prefix", "/", "s")]).replace(
        "ingressClassName: ours",
        "ingressClassName: ours\n  tls: [{hosts: [a.test], secretName: t}]",
    );
    let (outcome, text) = checked(&[("base.yaml", BASE), ("s.yaml", service), ("web.yaml", &web)]);
    assert_eq!(outcome, check::Outcome::Passed);
    assert!(text.contains("accepted  Ingress default/web"), "{text}");
    assert_eq!(text.matches("the folder holds no").count(), 2, "{text}");
}

#[test]
fn check_does_not_judge_other_classes() {
    let slip = ingress("slip", "b.test", &[("Prefix", "/", "s")])
        .replace("ingressClassName: ours", "ingressClassName: nginx\n  slip: 1");
    let (_, text) = checked(&[("base.yaml", BASE), ("slip.yaml", &slip)]);
    assert!(!text.contains("slip"), "{text}");
    let other = ingress("theirs", "b..c", &[("Odd", "x", "y")]).replace("ours", "nginx");
    let (outcome, text) = checked(&[("base.yaml", BASE), ("other.yaml", &other)]);
    assert_eq!(outcome, check::Outcome::Passed);
    assert!(text.contains("note: 1 Ingress(es) of class `nginx`"), "{text}");
}

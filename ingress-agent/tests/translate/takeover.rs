//! Objects of ingress-nginx: which are taken over, by whose rules they are read, and what `check` says of them.

use std::collections::BTreeSet;

use ingress_agent::check;
use ingress_agent::model::{Model, Opening};
use ingress_agent::translate::{Controllers, Report, Translator};

use crate::folder::{
    BASE, NGINX, causes, folder, ingress, listener, read, routes, services, site, taken_over,
};

/// What these manifests mean without XDP.
fn served(text: &str, controllers: Controllers) -> (Model, Report) {
    let dir = folder(&[("test.yaml", text)]);
    Translator::new(controllers).translate_at(
        &read(dir.path()),
        &Opening::everywhere(80, false),
        &BTreeSet::new(),
    )
}

fn class(name: &str, controller: &str, annotations: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{controller: {controller}}}\n"
    )
}

/// An Ingress that says its class so.
fn of_class(field: &str, annotation: &str) -> String {
    ingress("web", "a.test", &[("Prefix", "/", "s")])
        .replace("  ingressClassName: ours\n", field)
        .replace(
            "{name: web}",
            &format!("{{name: web, annotations: {{{annotation}}}}}"),
        )
}

#[test]
fn the_flag_takes_what_ingress_nginx_serves_and_nothing_else() {
    let by_field = |name: &str| of_class(&format!("  ingressClassName: {name}\n"), "");
    let by_annotation = |name: &str| of_class("", &format!("kubernetes.io/ingress.class: {name}"));
    let default = "ingressclass.kubernetes.io/is-default-class: 'true'";
    let nginx = |name, annotation| class(name, "k8s.io/ingress-nginx", annotation);
    let others = class("nginx", "nginx.org/ingress-controller", "");
    for (what, class, ingress, expected) in [
        (
            "its class, under any name",
            nginx("edge", ""),
            by_field("edge"),
            true,
        ),
        (
            "its class, by annotation",
            nginx("edge", ""),
            by_annotation("edge"),
            true,
        ),
        (
            "its class as the default",
            nginx("edge", default),
            of_class("", ""),
            true,
        ),
        (
            "no class, and no default",
            nginx("edge", ""),
            of_class("", ""),
            false,
        ),
        (
            "`nginx` by annotation, without a class",
            String::new(),
            by_annotation("nginx"),
            true,
        ),
        (
            "another by annotation, without a class",
            String::new(),
            by_annotation("nginx-b"),
            false,
        ),
        (
            "`nginx` by field, without a class",
            String::new(),
            by_field("nginx"),
            false,
        ),
        (
            "another controller's `nginx` by field",
            others.clone(),
            by_field("nginx"),
            false,
        ),
        (
            "another controller's `nginx` by annotation",
            others,
            by_annotation("nginx"),
            false,
        ),
        (
            "a controller whose name begins alike",
            class("nginx", "k8s.io/ingress-nginx-b", ""),
            by_field("nginx"),
            false,
        ),
    ] {
        let text = class + &ingress + &services(&["s"]);
        let is_served = |controllers| routes(site(&served(&text, controllers).0), "a.test").is_some();
        assert_eq!(is_served(Controllers::WithIngressNginx), expected, "{what}");
        assert!(!is_served(Controllers::Own), "without the flag: {what}");
    }
}

#[test]
fn a_pool_serves_the_class_that_only_annotations_name() {
    let pool = BASE.replace("[ours]", "[nginx]");
    let text = of_class("", "kubernetes.io/ingress.class: nginx") + &services(&["s"]);
    let dir = folder(&[("base.yaml", &pool), ("test.yaml", &text)]);
    let (model, report) = Translator::new(Controllers::WithIngressNginx).translate(&read(dir.path()));
    let vip = listener(&model, "192.0.2.10", 80).unwrap();
    assert_eq!(routes(&vip.site, "a.test").unwrap(), ["Prefix / -> s"]);
    assert_eq!(causes(&report), ["IngressClass ours: degraded class-unserved"]);
}

#[test]
fn implementation_specific_is_a_string_prefix_of_theirs_and_a_prefix_of_ours() {
    let paths = [
        ("ImplementationSpecific", "/a", "s"),
        ("ImplementationSpecific", "/ab", "s"),
        ("ImplementationSpecific", "/a/", "s"),
        ("ImplementationSpecific", "/", "s"),
        ("Prefix", "/a", "p"),
        ("Exact", "/a", "e"),
        ("ImplementationSpecific", "/a/b", "s"),
    ];
    let theirs = ingress("theirs", "theirs.test", &paths).replace("ours", "nginx");
    // Ours cannot have both `/a` as a Prefix and `/a` and `/a/` as another.
    let ours = ingress("ours", "ours.test", &[paths[0], paths[1], paths[6]]);
    let text = BASE.to_owned() + NGINX + &theirs + &ours + &services(&["s", "p", "e"]);
    let (model, report) = served(&text, Controllers::WithIngressNginx);
    assert_eq!(causes(&report), Vec::<String>::new());
    assert_eq!(
        routes(site(&model), "theirs.test").unwrap(),
        [
            "ImplementationSpecific /a/b -> s",
            "Exact /a -> e",
            "Prefix /a -> p",
            "ImplementationSpecific /a/ -> s",
            "ImplementationSpecific /ab -> s",
            "ImplementationSpecific /a -> s",
            "Prefix / -> s",
        ]
    );
    assert_eq!(
        routes(site(&model), "ours.test").unwrap(),
        ["Prefix /a/b -> s", "Prefix /a -> s", "Prefix /ab -> s"]
    );
}

#[test]
fn a_host_path_and_kind_belong_to_one_ingress() {
    let first = ingress(
        "a",
        "a.test",
        &[("ImplementationSpecific", "/x", "s"), ("Prefix", "/", "s")],
    );
    let second = ingress(
        "b",
        "a.test",
        &[
            ("ImplementationSpecific", "/x", "t"),
            ("ImplementationSpecific", "/", "t"),
            ("Prefix", "/x", "t"),
        ],
    );
    let text = (first + &second).replace("ours", "nginx") + &services(&["s", "t"]);
    let (model, report) = taken_over(&text);
    assert_eq!(
        routes(site(&model), "a.test").unwrap(),
        [
            "Prefix /x -> t",
            "ImplementationSpecific /x -> s",
            "Prefix / -> s"
        ]
    );
    assert_eq!(
        causes(&report),
        [
            "Ingress default/b: refused path-taken",
            "Ingress default/b: refused path-taken"
        ]
    );
}

fn checked(text: &str, controllers: Controllers) -> String {
    let dir = folder(&[("base.yaml", BASE), ("test.yaml", text)]);
    let mut out = Vec::new();
    let options = check::Options {
        controllers,
        ..check::Options::default()
    };
    check::run(dir.path(), options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn check_tells_how_to_take_them_over_and_judges_them_then() {
    let annotated = of_class("", "kubernetes.io/ingress.class: nginx-b").replace("web", "unclassed");
    let of_theirs = ingress("web", "b..c", &[("Prefix", "/", "s")]).replace("ours", "nginx");
    let another = of_theirs.replace("name: web", "name: web-2");
    let text = NGINX.to_owned() + &of_theirs + &another + &annotated + &services(&["s"]);
    let without = checked(&text, Controllers::Own);
    let notes: Vec<_> = without
        .lines()
        .filter(|line| line.starts_with("note: "))
        .collect();
    assert_eq!(
        notes,
        [
            "note: 1 Ingress(es) of class `nginx-b`, which no IngressClass of the folder defines: not judged",
            "note: 2 Ingress(es) belong to classes of controller k8s.io/ingress-nginx: not judged; `check` judges them \
             and `run` serves them, as they are, with --take-over-ingress-nginx",
        ]
    );
    assert!(!without.contains("b..c"), "{without}");
    let with = checked(&text, Controllers::WithIngressNginx);
    assert!(with.contains("refused   Ingress default/web"), "{with}");
    assert!(with.contains("IngressClass nginx"), "{with}");
    assert!(!with.contains("controller k8s.io/ingress-nginx"), "{with}");
}

#[test]
fn an_ingress_of_theirs_without_an_ingress_class_is_in_the_note() {
    let text = of_class("", "kubernetes.io/ingress.class: nginx") + &services(&["s"]);
    let said = checked(&text, Controllers::Own);
    assert_eq!(said.matches("note: ").count(), 1, "{said}");
    assert!(
        said.contains("note: 1 Ingress(es) belong to classes of controller"),
        "{said}"
    );
}

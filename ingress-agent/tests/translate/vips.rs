//! VipPools and `nodes.yaml`: VIPs, members, and who is served where.

use crate::folder::{causes, ingress, listener, model_of, routes, services};

fn class(name: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: ingress-agent.dev/xdp}}\n"
    )
}

fn pool(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: ingress-agent.dev/v1alpha1\nkind: VipPool\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )
}

fn vips(model: &ingress_agent::model::Model) -> Vec<String> {
    model
        .listeners
        .iter()
        .map(|listener| listener.vip.to_string())
        .collect()
}

const NODES: &str = "
secret: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
nodes:
- {name: b, number: 7, addresses: [10.0.0.2, 'fd00::2'], state: draining, labels: {zone: x}}
- {name: a, number: 3, addresses: [10.0.0.1, 'fd00::1']}
";

#[test]
fn each_class_gets_the_first_free_address_of_each_family_by_name() {
    let text = class("b")
        + &class("a")
        + &pool(
            "edge",
            "addresses: [192.0.2.8/29, '2001:db8::/64'], classes: [b, a]",
        );
    let (model, report) = model_of(&[("all.yaml", &text)]);
    let expected = [
        "192.0.2.9-80-tcp",
        "192.0.2.9-443-tcp",
        "192.0.2.10-80-tcp",
        "192.0.2.10-443-tcp",
        "2001:db8::1-80-tcp",
        "2001:db8::1-443-tcp",
        "2001:db8::2-80-tcp",
        "2001:db8::2-443-tcp",
    ];
    assert_eq!(vips(&model), expected);
    assert_eq!(causes(&report), [""; 0]);
    assert_eq!(model.pools[0].vips.len(), 8);
    let alone: Vec<_> = model.pools[0]
        .members
        .iter()
        .map(|member| (member.number.get(), &*member.name))
        .collect();
    assert_eq!(alone, [(1, "node-a")]);
}

#[test]
fn classes_have_sites_of_their_own() {
    let text = class("a")
        + &class("b")
        + &pool("edge", "addresses: [192.0.2.1-192.0.2.2]")
        + &ingress("x", "a.test", &[("Prefix", "/", "s")]).replace("ours", "a")
        + &ingress("y", "a.test", &[("Prefix", "/", "t")]).replace("ours", "b")
        + &services(&["s", "t"]);
    let (model, report) = model_of(&[("all.yaml", &text)]);
    assert_eq!(causes(&report), [""; 0]);
    let at = |address| routes(&listener(&model, address, 80).unwrap().site, "a.test").unwrap();
    assert_eq!(at("192.0.2.1"), ["Prefix / -> s"]);
    assert_eq!(at("192.0.2.2"), ["Prefix / -> t"]);
    let (plain, tls) = (
        listener(&model, "192.0.2.1", 80).unwrap(),
        listener(&model, "192.0.2.1", 443).unwrap(),
    );
    assert!(std::sync::Arc::ptr_eq(&plain.site, &tls.site));
}

#[test]
fn status_counts_where_it_is_present() {
    let text = class("a")
        + &class("b")
        + &pool("edge", "addresses: [192.0.2.1-192.0.2.9]")
        + "status: {assignments: [{address: 192.0.2.5, class: a}, {address: 192.0.2.77, class: b}]}\n";
    let (model, report) = model_of(&[("all.yaml", &text)]);
    assert_eq!(
        vips(&model),
        [
            "192.0.2.1-80-tcp",
            "192.0.2.1-443-tcp",
            "192.0.2.5-80-tcp",
            "192.0.2.5-443-tcp"
        ]
    );
    assert_eq!(causes(&report), ["VipPool edge: refused assignment-outside"]);
}

#[test]
fn a_status_may_give_one_address_to_two_classes() {
    let text = class("a")
        + &class("b")
        + &pool(
            "edge",
            "addresses: [192.0.2.1], ports: [{port: 8080, protocol: HTTP}]",
        )
        + "status: {assignments: [{address: 192.0.2.1, class: a}, {address: 192.0.2.1, class: b}]}\n"
        + &ingress("x", "a.test", &[("Prefix", "/", "s")]).replace("ours", "a")
        + &ingress("y", "b.test", &[("Prefix", "/", "s")]).replace("ours", "b")
        + &services(&["s"]);
    let (model, report) = model_of(&[("all.yaml", &text)]);
    assert_eq!(causes(&report), [""; 0]);
    let site = &listener(&model, "192.0.2.1", 8080).unwrap().site;
    assert_eq!(site.hosts.len(), 2);
}

/// An Ingress of class `ours` that asks for an address of its own.
fn own(namespace: &str, name: &str, host: &str) -> String {
    let metadata =
        format!("{{name: {name}, namespace: {namespace}, annotations: {{ingress-agent.dev/vip: own}}}}");
    ingress(name, host, &[("Prefix", "/", "s")]).replace(&format!("{{name: {name}}}"), &metadata)
}

#[test]
fn an_ingress_with_an_address_of_its_own_is_served_there_alone() {
    let pool = pool("edge", "addresses: [192.0.2.1-192.0.2.3], classes: [ours]");
    let text = class("ours")
        + &pool
        + &own("default", "mine", "a.test")
        + &ingress("theirs", "a.test", &[("Prefix", "/", "t")])
        + &ingress("other", "b.test", &[("Prefix", "/", "t")])
        + &services(&["s", "t"]);
    let (model, report) = model_of(&[("all.yaml", &text)]);
    // Neither has taken the other's host and path.
    assert_eq!(causes(&report), [""; 0]);
    let at = |address| &listener(&model, address, 80).unwrap().site;
    assert_eq!(routes(at("192.0.2.1"), "a.test").unwrap(), ["Prefix / -> t"]);
    assert_eq!(routes(at("192.0.2.2"), "a.test").unwrap(), ["Prefix / -> s"]);
    assert_eq!(routes(at("192.0.2.2"), "b.test"), None);
    assert!(listener(&model, "192.0.2.3", 80).is_none());
    let (model, _) = model_of(&[("all.yaml", &text.replace("vip: own", "vip: shared"))]);
    assert!(listener(&model, "192.0.2.2", 80).is_none(), "it is given back");
}

#[test]
fn a_pool_gives_no_address_to_an_ingress_of_a_namespace_that_it_does_not_serve() {
    let only = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}";
    let text = class("ours")
        + &pool(
            "edge",
            &format!("addresses: [192.0.2.1-192.0.2.3], classes: [ours], {only}"),
        )
        + &own("shop", "in", "in.test")
        + &own("elsewhere", "out", "out.test");
    let (model, report) = model_of(&[("all.yaml", &text)]);
    let told = causes(&report);
    assert!(
        told.contains(&"Ingress elsewhere/out: refused namespace-unserved".to_owned()),
        "{told:?}"
    );
    assert!(
        !told
            .iter()
            .any(|told| told.contains("shop/in: refused namespace")),
        "{told:?}"
    );
    assert_eq!(vips(&model).len(), 4);
}

/// The snapshot of some files, in the way of a source whose leader gives addresses.
fn recorded(text: &str) -> ingress_agent::translate::Snapshot {
    let mut snapshot = crate::folder::read(crate::folder::folder(&[("all.yaml", text)]).path());
    snapshot.allocation = ingress_agent::translate::Allocation::Recorded;
    snapshot
}

#[test]
fn where_a_leader_gives_addresses_only_what_is_recorded_counts() {
    let text = class("a")
        + &class("b")
        + &pool("edge", "addresses: [192.0.2.1-192.0.2.9]")
        + "status: {assignments: [{address: 192.0.2.5, class: a}]}\n";
    let (model, report) = ingress_agent::translate::translate(&recorded(&text));
    assert_eq!(vips(&model), ["192.0.2.5-80-tcp", "192.0.2.5-443-tcp"]);
    assert_eq!(causes(&report), ["IngressClass b: degraded vip-pending"]);
    let said = report.findings[0].to_string();
    assert!(said.contains("no IPv4 address of VipPool `edge` yet"), "{said}");
    assert!(said.contains("the agents' leader gives it"), "{said}");
    // Where the leader has none to give, it is told as ever.
    let short = text.replace("192.0.2.1-192.0.2.9", "192.0.2.5");
    let (_, report) = ingress_agent::translate::translate(&recorded(&short));
    let told = causes(&report);
    assert!(
        told.contains(&"VipPool edge: degraded pool-exhausted".to_owned()),
        "{told:?}"
    );
}

#[test]
fn a_pool_without_classes_serves_those_no_pool_names() {
    let text = class("a")
        + &class("b")
        + &pool("rest", "addresses: [192.0.2.1]")
        + &pool("public", "addresses: [198.51.100.1], classes: [b]");
    let (model, report) = model_of(&[("all.yaml", &text)]);
    assert_eq!(vips(&model).len(), 4);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn a_class_may_be_served_by_several_pools() {
    let text = class("a")
        + &pool("inside", "addresses: [192.0.2.1], classes: [a]")
        + &pool("outside", "addresses: [198.51.100.1], classes: [a]");
    let (model, report) = model_of(&[("all.yaml", &text)]);
    assert_eq!(vips(&model).len(), 4);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn what_a_pool_cannot_hand_out_is_told() {
    for (pools, vip_count, expected) in [
        (
            pool("edge", "addresses: [192.0.2.1], classes: [a, b]"),
            2,
            vec![
                "IngressClass b: degraded class-unserved",
                "VipPool edge: degraded pool-exhausted",
            ],
        ),
        (
            pool("edge", "addresses: [192.0.2.1], classes: [a, b, c]"),
            2,
            vec![
                "IngressClass b: degraded class-unserved",
                "VipPool edge: degraded pool-exhausted",
                "VipPool edge: degraded pool-class",
            ],
        ),
        (
            pool("edge", "addresses: [10.0.0.1-10.0.0.4]"),
            4,
            vec![
                "VipPool edge: refused pool-node-address",
                "VipPool edge: refused pool-node-address",
            ],
        ),
        (
            pool("one", "addresses: [192.0.2.0/24], classes: [a]")
                + &pool("two", "addresses: [192.0.2.4-192.0.3.4], classes: [b]"),
            4,
            vec!["VipPool two: refused pool-overlap"],
        ),
        (
            pool(
                "edge",
                "addresses: [192.0.2.1-192.0.2.2], nodeSelector: {matchLabels: {zone: nowhere}}",
            ),
            0,
            vec![
                "IngressClass a: degraded class-unserved",
                "IngressClass b: degraded class-unserved",
                "VipPool edge: refused pool-nodes",
            ],
        ),
    ] {
        let text = class("a") + &class("b") + &pools;
        let (model, report) = model_of(&[("all.yaml", &text), ("nodes.yaml", NODES)]);
        assert_eq!(causes(&report), expected, "{pools}");
        assert_eq!(vips(&model).len(), vip_count, "{pools}");
        assert!(
            vips(&model)
                .iter()
                .all(|vip| !vip.starts_with("10.0.0.1-") && !vip.starts_with("10.0.0.2-"))
        );
    }
}

#[test]
fn members_are_the_nodes_whose_labels_match() {
    let text = class("a")
        + &pool("all", "addresses: [192.0.2.1], classes: [a]")
        + &pool(
            "some",
            "addresses: [192.0.2.2], classes: [a], nodeSelector: {matchLabels: {zone: x}}",
        );
    let (model, report) = model_of(&[("all.yaml", &text), ("nodes.yaml", NODES)]);
    assert_eq!(causes(&report), [""; 0]);
    let members = |at: usize| {
        model.pools[at]
            .members
            .iter()
            .map(|m| m.number.get())
            .collect::<Vec<_>>()
    };
    assert_eq!((members(0), members(1)), (vec![3, 7], vec![7]));
    assert!(model.secret.is_some());
}

#[test]
fn a_namespace_selector_keeps_others_out() {
    let text = class("a")
        + &pool(
            "edge",
            "addresses: [192.0.2.1], namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: team}}",
        )
        + &ingress("x", "a.test", &[("Prefix", "/", "s")]).replace("ours", "a")
        + &ingress("y", "b.test", &[("Prefix", "/", "s")])
            .replace("ours", "a")
            .replace("{name: y}", "{name: y, namespace: team}")
        + &services(&["s"]).replace("metadata: {name: s", "metadata: {namespace: team, name: s");
    let (model, report) = model_of(&[("all.yaml", &text)]);
    let site = &listener(&model, "192.0.2.1", 80).unwrap().site;
    assert!(routes(site, "a.test").is_none());
    assert!(routes(site, "b.test").is_some());
    assert_eq!(causes(&report), ["Ingress default/x: refused namespace-unserved"]);
}

#[test]
fn a_bad_nodes_file_serves_nothing_and_says_why() {
    let text = class("a") + &pool("edge", "addresses: [192.0.2.1]");
    let (model, report) = model_of(&[
        ("all.yaml", &text),
        ("nodes.yaml", &NODES.replace("secret:", "secrt:")),
    ]);
    assert!(model.pools.is_empty() && model.listeners.is_empty());
    let words = report.findings[0].to_string();
    assert!(
        words.contains("File nodes.yaml") && words.contains("secrt"),
        "{words}"
    );
}

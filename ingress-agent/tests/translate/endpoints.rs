//! From Service ports to endpoints: `Service`, `EndpointSlice`.

use std::net::SocketAddr;
use std::sync::Arc;

use ingress_agent::digest::Nodes;
use ingress_agent::model::{Action, Endpoint, EndpointState, MemberState, Model, Opening, Protocol, Vip};
use ingress_agent::translate::{Translator, translate};

use crate::folder::{BASE, causes, folder, ingress, model, read, services, site};

/// The endpoints of the only route, as `ADDRESS` or `ADDRESS draining`.
fn endpoints(model: &Model) -> Vec<String> {
    let host = site(model).hosts.values().next().unwrap();
    let Action::Forward(backend) = &host.routes[0].action else {
        panic!("refused")
    };
    let text = |endpoint: &Endpoint| match endpoint.state {
        EndpointState::Ready => endpoint.address.to_string(),
        EndpointState::Draining => format!("{} draining", endpoint.address),
    };
    backend.endpoints.iter().map(text).collect()
}

fn web() -> String {
    ingress("web", "a.test", &[("Prefix", "/", "s")])
}

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{name: http, port: 80, targetPort: web}, {name: admin, port: 81}]}\n";

fn slice(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, labels: {{kubernetes.io/service-name: s}}}}\n{rest}\n"
    )
}

#[test]
fn slices_are_merged_and_deduplicated_with_ports_by_name_per_slice() {
    let text = web()
        + SERVICE
        + &slice(
            "a",
            "addressType: IPv4\nports: [{name: admin, port: 1}, {name: http, port: 8080}]\nendpoints: [{addresses: [10.0.0.2]}, {addresses: [10.0.0.1]}]",
        )
        + &slice(
            "b",
            "addressType: IPv4\nports: [{name: http, port: 9090}]\nendpoints: [{addresses: [10.0.0.3]}]",
        )
        + &slice(
            "c",
            "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.0.0.1]}]",
        )
        + &slice(
            "d",
            "addressType: IPv6\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: ['fd00::1']}]",
        );
    let (model, report) = model(&text);
    assert_eq!(
        endpoints(&model),
        [
            "10.0.0.1:8080",
            "10.0.0.2:8080",
            "10.0.0.3:9090",
            "[fd00::1]:8080"
        ]
    );
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn conditions_say_who_is_called() {
    let text = web()
        + SERVICE
        + &slice(
            "a",
            "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints:
- {addresses: [10.0.0.1]}
- {addresses: [10.0.0.2], conditions: {}}
- {addresses: [10.0.0.3], conditions: {ready: true}}
- {addresses: [10.0.0.4], conditions: {ready: false}}
- {addresses: [10.0.0.5], conditions: {ready: false, serving: true, terminating: true}}
- {addresses: [10.0.0.6], conditions: {ready: false, serving: false, terminating: true}}
- {addresses: [10.0.0.7], conditions: {ready: false, serving: true, terminating: false}}",
        );
    let (model, _) = model(&text);
    assert_eq!(
        endpoints(&model),
        [
            "10.0.0.1:80",
            "10.0.0.2:80",
            "10.0.0.3:80",
            "10.0.0.5:80 draining"
        ]
    );
}

#[test]
fn a_service_port_is_named_by_number_or_by_name() {
    let by_name = web().replace("number: 80", "name: http");
    let slices = slice(
        "a",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.0.0.1]}]",
    );
    let (named, report) = model(&(by_name + SERVICE + &slices));
    assert_eq!(endpoints(&named), ["10.0.0.1:8080"]);
    assert_eq!(causes(&report), [""; 0]);
}

#[test]
fn a_missing_service_port_or_endpoint_is_an_empty_backend_and_told() {
    let empty = slice(
        "a",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: []",
    );
    for (text, cause, word) in [
        (web() + &services(&["t"]), "service-missing", "(nearest: t)"),
        (
            web().replace("number: 80", "number: 82") + SERVICE,
            "service-port-missing",
            "80 `http`, 81 `admin`",
        ),
        (
            web().replace("number: 80", "name: htpp") + SERVICE,
            "service-port-missing",
            "port `htpp`",
        ),
        (
            web() + SERVICE + &empty,
            "no-endpoints",
            "Service default/s without a ready endpoint for its port 80",
        ),
        (web() + SERVICE, "no-endpoints", "start its pods"),
        (
            web()
                + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: ExternalName, externalName: example.com}\n",
            "service-external-name",
            "`example.com`",
        ),
    ] {
        let (model, report) = model(&text);
        assert_eq!(endpoints(&model), [""; 0]);
        assert_eq!(
            causes(&report),
            [format!("Ingress default/web: degraded {cause}")]
        );
        let words = report.findings[0].to_string();
        assert!(
            words.contains(word)
                && words.contains("spec.rules[0].http.paths[0].backend")
                && words.contains("503"),
            "{words}"
        );
    }
}

#[test]
fn services_of_other_namespaces_are_not_found() {
    let (model, report) = model(
        &(web() + &services(&["s"]).replace("metadata: {name: s}", "metadata: {name: s, namespace: other}")),
    );
    assert_eq!(endpoints(&model), [""; 0]);
    assert_eq!(causes(&report), ["Ingress default/web: degraded service-missing"]);
}

#[test]
fn what_no_slice_may_hold_is_left_out_and_told() {
    let text = web()
        + SERVICE
        + &slice(
            "a",
            "addressType: FQDN\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [pod.example.com]}]",
        )
        + &slice(
            "b",
            "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints:
- {addresses: [10.0.0.1]}
- {addresses: [127.0.0.1]}
- {addresses: ['fd00::1']}
- {addresses: [169.254.169.254]}
- {addresses: [nonsense]}
- {addresses: []}",
        );
    let (model, report) = model(&text);
    assert_eq!(endpoints(&model), ["10.0.0.1:80"]);
    let mut expected = vec!["EndpointSlice default/a: refused slice-address-type".to_owned()];
    expected.extend(vec![
        "EndpointSlice default/b: refused slice-address".to_owned();
        5
    ]);
    assert_eq!(causes(&report), expected);
}

/// K8-6.
#[test]
fn k8_6_a_vip_is_never_called_as_an_endpoint() {
    let slices = slice(
        "a",
        "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [192.0.2.10]}, {addresses: [10.0.0.1]}]",
    );
    let (model, report) = model(&(web() + SERVICE + &slices));
    assert_eq!(endpoints(&model), ["10.0.0.1:80"]);
    assert_eq!(causes(&report), ["Ingress default/web: degraded endpoint-vip"]);
}

/// K8-6, of an agent without VIPs: its own listeners are called no more than a VIP is, and other ports of the node are.
#[test]
fn k8_6_where_an_agent_listens_is_no_endpoint() {
    let slices = slice(
        "a",
        "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}]",
    ) + &slice(
        "b",
        "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.0.0.1]}]",
    );
    let text = web() + SERVICE + &slices;
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let at = |opening: &str, local: &[&str]| {
        let at: SocketAddr = opening.parse().unwrap();
        let opening = Opening {
            vip: Vip {
                address: at.ip(),
                port: at.port().try_into().unwrap(),
                protocol: Protocol::Tcp,
            },
            tls: false,
        };
        let local = local.iter().map(|address| address.parse().unwrap()).collect();
        let (model, report) = Translator::default().translate_at(&read(folder.path()), &[opening], &local);
        (endpoints(&model).join(" "), causes(&report))
    };
    let all = "10.0.0.1:80 10.0.0.1:8080 10.0.0.2:80 10.0.0.3:80";
    let refused = vec!["Ingress default/web: degraded endpoint-vip".to_owned()];
    let others = "10.0.0.1:8080 10.0.0.2:80 10.0.0.3:80".to_owned();
    assert_eq!(at("10.0.0.1:80", &[]), (others.clone(), refused.clone()));
    let local = ["10.0.0.1", "fd00::1", "127.0.0.1"];
    assert_eq!(at("0.0.0.0:80", &local), (others, refused));
    for elsewhere in ["10.0.0.1:81", "0.0.0.0:443", "[::]:80", "127.0.0.1:80"] {
        assert_eq!(at(elsewhere, &local), (all.to_owned(), Vec::new()), "{elsewhere}");
    }
}

/// K8-6: the same of another node's agent that serves at its own addresses, by what its Lease says.
#[test]
fn k8_6_where_another_nodes_agent_listens_is_no_endpoint() {
    let slices = slice(
        "a",
        "addressType: IPv4\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]",
    );
    let text = web() + SERVICE + &slices;
    let folder = folder(&[("base.yaml", BASE), ("test.yaml", &text)]);
    let mut snapshot = read(folder.path());
    let mut nodes = Nodes::alone(&snapshot.node).nodes;
    nodes[0].member.addresses = vec!["10.0.0.2".parse().unwrap()];
    for (ready, state, expected) in [
        (false, MemberState::Active, "10.0.0.1:80"),
        (true, MemberState::Active, "10.0.0.1:80 10.0.0.2:80"),
        (false, MemberState::Draining, "10.0.0.1:80 10.0.0.2:80"),
    ] {
        (nodes[0].member.ready, nodes[0].member.state) = (ready, state);
        snapshot.nodes = Some(Arc::new(Nodes::joined(None, nodes.clone())));
        let (model, _) = translate(&snapshot);
        assert_eq!(endpoints(&model).join(" "), expected);
    }
}

const ONE_PORT: &str = "addressType: IPv4\nports: [{name: http, port: 8080}]\n";

/// The endpoints of [`SERVICE`]'s port `http` in slices of [`ONE_PORT`], one for each list.
fn listed(lists: &[&str]) -> Vec<String> {
    let slices = lists.iter().enumerate();
    let slices: String = slices
        .map(|(at, list)| slice(&format!("x{at}"), &format!("{ONE_PORT}endpoints: [{list}]")))
        .collect();
    endpoints(&model(&(web() + SERVICE + &slices)).0)
}

#[test]
fn ready_absent_is_ready() {
    let serving = "conditions: {serving: true, terminating: true}";
    let lists = [
        "{addresses: [10.0.0.1]}",
        "{addresses: [10.0.0.2], conditions: {}}",
    ];
    assert_eq!(listed(&lists), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    assert_eq!(
        listed(&[&format!("{{addresses: [10.0.0.1], {serving}}}")]),
        ["10.0.0.1:8080"]
    );
}

#[test]
fn an_address_in_two_slices_is_one_endpoint_in_its_better_state() {
    let ready = "{addresses: [10.0.0.1], conditions: {ready: true}}";
    let leaving = "{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}";
    let gone = "{addresses: [10.0.0.1], conditions: {ready: false}}";
    for (lists, expected) in [
        ([ready, ready], vec!["10.0.0.1:8080"]),
        ([ready, leaving], vec!["10.0.0.1:8080"]),
        ([leaving, ready], vec!["10.0.0.1:8080"]),
        ([gone, ready], vec!["10.0.0.1:8080"]),
        ([leaving, gone], vec!["10.0.0.1:8080 draining"]),
        ([gone, gone], vec![]),
    ] {
        assert_eq!(listed(&lists), expected, "{lists:?}");
    }
    assert_eq!(listed(&[&format!("{ready}, {ready}")]), ["10.0.0.1:8080"]);
}

#[test]
fn an_endpoint_of_several_addresses_is_called_at_the_first() {
    assert_eq!(listed(&["{addresses: [10.0.0.1, 10.0.0.2]}"]), ["10.0.0.1:8080"]);
}

#[test]
fn a_slice_without_the_ports_name_adds_nothing() {
    for ports in [
        "",
        "ports: []\n",
        "ports: [{port: 8080}]\n",
        "ports: [{name: https, port: 8080}]\n",
        "ports: [{name: HTTP, port: 8080}]\n",
        "ports: [{name: http}]\n",
        "ports: [{name: http, port: 8080, protocol: UDP}]\n",
    ] {
        let without = slice(
            "a",
            &format!("addressType: IPv4\n{ports}endpoints: [{{addresses: [10.0.0.1]}}]"),
        );
        let with = slice("b", &format!("{ONE_PORT}endpoints: [{{addresses: [10.0.0.2]}}]"));
        let (model, report) = model(&(web() + SERVICE + &without + &with));
        assert_eq!(endpoints(&model), ["10.0.0.2:8080"], "{ports}");
        assert_eq!(causes(&report), [""; 0], "{ports}");
    }
}

#[test]
fn two_service_ports_of_one_number_differ_by_protocol() {
    let dns = SERVICE.replace(
        "[{name: http, port: 80, targetPort: web}",
        "[{name: quic, port: 80, protocol: UDP}, {name: http, port: 80}",
    );
    let slices = slice(
        "a",
        "addressType: IPv4\nports: [{name: quic, port: 1, protocol: UDP}, {name: http, port: 2}]\nendpoints: [{addresses: [10.0.0.1]}]",
    );
    let (by_number, _) = model(&(web() + &dns + &slices));
    assert_eq!(endpoints(&by_number), ["10.0.0.1:2"]);
    let (by_name, _) = model(&(web().replace("number: 80", "name: quic") + &dns + &slices));
    assert_eq!(endpoints(&by_name), [""; 0]);
}

#[test]
fn slices_are_joined_by_label_in_the_namespace() {
    let elsewhere = slice("a", &format!("{ONE_PORT}endpoints: [{{addresses: [10.0.0.1]}}]"));
    let unlabelled = elsewhere.replace("kubernetes.io/service-name: s", "app: s");
    let elsewhere = elsewhere.replace("{name: a,", "{name: a, namespace: other,");
    let own = slice("b", &format!("{ONE_PORT}endpoints: [{{addresses: [10.0.0.2]}}]"));
    let (model, _) = model(&(web() + SERVICE + &elsewhere + &unlabelled + &own));
    assert_eq!(endpoints(&model), ["10.0.0.2:8080"]);
}

#[test]
fn fqdn_slices_are_ignored_and_told() {
    let names = slice(
        "a",
        "addressType: FQDN\nports: [{name: http, port: 80}]\nendpoints: [{addresses: [pod.example.com]}]",
    );
    let own = slice("b", &format!("{ONE_PORT}endpoints: [{{addresses: [10.0.0.2]}}]"));
    let (model, report) = model(&(web() + SERVICE + &names + &own));
    assert_eq!(endpoints(&model), ["10.0.0.2:8080"]);
    assert_eq!(
        causes(&report),
        ["EndpointSlice default/a: refused slice-address-type"]
    );
}

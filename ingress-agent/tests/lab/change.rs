//! Edits of the folder take effect while requests go on.

use std::time::Duration;

use xtask::lab::{Answer, Traffic, VIP_V4, VIP_V6};

use super::{Running, eventually};

/// Slower than any edit should be even on a loaded machine; the demo prints what it really was.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn an_edit_moves_a_route_and_no_request_fails() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let traffic = Traffic::start(lab.client(), VIP_V6, "http://shop.example.test/blue").unwrap();
    for (from, to) in [("blue", "red"), ("red", "blue"), ("blue", "red"), ("red", "blue")] {
        let path = "{path: /blue, pathType: Prefix, backend: {service: {name: ";
        let time = lab.client().time_until(
            (VIP_V4, "shop.example.test", "/blue"),
            || {
                lab.manifests()
                    .edit("ingress.yaml", &format!("{path}{from}"), &format!("{path}{to}"))
            },
            |answer: &Answer| answer.echo().is_ok_and(|echo| echo.pod.starts_with(to)),
            SOON,
        );
        eprintln!("/blue moved to {to} after {:?}", time.unwrap());
    }
    let sent = traffic.stop().unwrap();
    assert!(sent.sent > 0 && sent.failed == 0, "{sent:?}");
    drop(agents);
}

#[test]
fn a_broken_file_harms_nothing_and_a_bad_object_only_itself() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let client = lab.client();
    lab.manifests()
        .replace("broken.yaml", "kind: Ingress\n  metadata: [")
        .unwrap();
    lab.manifests()
        .replace(
            "other.yaml",
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {namespace: default, name: other}\nspec:\n  rules:\n\
             \x20 - host: other.example.test\n    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: blue, port: {number: 80}}}}]}\n\
             \x20 - host: nowhere.example.test\n    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: absent, port: {number: 80}}}}]}\n",
        )
        .unwrap();
    eventually("the new host is served", SOON * 5, || {
        client.echo(VIP_V4, "http://other.example.test/").is_ok()
    });
    assert_eq!(
        client
            .curl(VIP_V4, "http://nowhere.example.test/", &[])
            .unwrap()
            .status,
        503
    );
    assert!(client.echo(VIP_V4, "https://shop.example.test/").is_ok());
    assert!(
        agents[0].log().contains("broken.yaml"),
        "the log names the file:\n{}",
        agents[0].log()
    );
}

#[test]
fn a_vip_can_be_taken_away_and_given_back() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let client = lab.client();
    let asks = |vip| client.curl(vip, "http://shop.example.test/", &["--connect-timeout", "1"]);
    lab.manifests().edit("pool.yaml", "\"192.0.2.10\", ", "").unwrap();
    eventually("the VIP is gone", SOON * 5, || asks(VIP_V4).is_err());
    assert_eq!(asks(VIP_V6).unwrap().status, 200);
    lab.manifests()
        .edit("pool.yaml", "addresses: [", "addresses: [\"192.0.2.10\", ")
        .unwrap();
    eventually("the VIP is back", SOON * 5, || {
        asks(VIP_V4).is_ok_and(|answer| answer.status == 200)
    });
    drop(agents);
}

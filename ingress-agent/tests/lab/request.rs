//! Single requests, as the client sees them and as the pod saw them.

use xtask::lab::{CLIENT_V4, CLIENT_V6, VIP_V4, VIP_V6};

use super::Running;

/// One mebibyte: many segments, so that one that does not fit the tunnel stalls the transfer.
const BIG: usize = 1 << 20;

#[test]
fn http_and_https_answer_on_both_vips_and_the_pod_learns_the_client() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    for (vip, client) in [(VIP_V4, CLIENT_V4), (VIP_V6, CLIENT_V6)] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://shop.example.test/hello?a=b");
            let arguments = [
                // HTTP/2 has no hop-by-hop fields.
                "--http1.1",
                "--header",
                "X-Forwarded-For: 203.0.113.9",
                "--header",
                "Connection: x-hop",
                "--header",
                "X-Hop: 1",
            ];
            let echo = lab.client().curl(vip, &url, &arguments).unwrap().echo().unwrap();
            assert!(echo.pod.starts_with("red"), "{echo:?}");
            assert_eq!((echo.method.as_str(), echo.path.as_str()), ("GET", "/hello?a=b"));
            assert_eq!(
                echo.header("x-forwarded-for"),
                client.to_string(),
                "the client's own header is replaced"
            );
            assert_eq!(echo.header("x-forwarded-proto"), scheme);
            assert_eq!(echo.header("host"), "shop.example.test");
            assert_eq!(echo.header("x-hop"), "", "a hop-by-hop header is not passed on");
        }
    }
    drop(agents);
}

#[test]
fn hosts_and_paths_choose_the_service() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    for (url, service) in [
        ("http://shop.example.test/", "red"),
        ("http://SHOP.example.test/", "red"),
        ("http://shop.example.test/blue", "blue"),
        ("http://shop.example.test/blue/berry", "blue"),
        ("http://shop.example.test/blueberry", "red"),
        ("https://shop.example.test/blue", "blue"),
        ("http://any.wild.example.test/", "blue"),
    ] {
        let echo = lab.client().echo(VIP_V4, url).unwrap();
        assert!(echo.pod.starts_with(service), "{url}: {echo:?}");
    }
    for url in [
        "http://nobody.example.test/",
        "http://wild.example.test/",
        "http://two.labels.wild.example.test/",
    ] {
        assert_eq!(lab.client().curl(VIP_V4, url, &[]).unwrap().status, 404, "{url}");
    }
    drop(agents);
}

#[test]
fn a_mebibyte_goes_each_way_entering_at_each_node() {
    let Some(Running { agents, lab }) = Running::start() else {
        return;
    };
    let file = lab.directory().join("body");
    for vip in [VIP_V4, VIP_V6] {
        for entry in 1..=3 {
            lab.router().enter_at(&[entry]).unwrap();
            let (mut here, mut elsewhere) = (0, 0);
            // A connection's owner is chance; the chance that 40 do not show both kinds is 1 in 10 million.
            for _ in 0..40 {
                let echo = lab
                    .client()
                    .post(vip, "http://shop.example.test/", &file, BIG)
                    .unwrap();
                assert_eq!(echo.body, BIG as u64);
                if echo.node() == Some(entry) {
                    here += 1;
                } else {
                    elsewhere += 1;
                }
                let answer = lab
                    .client()
                    .curl(vip, &format!("http://shop.example.test/bytes/{BIG}"), &[])
                    .unwrap();
                assert_eq!((answer.status, answer.body.len()), (200, BIG));
                if here > 0 && elsewhere > 2 {
                    break;
                }
            }
            assert!(
                here > 0 && elsewhere > 2,
                "{vip}, node{entry}: {here} kept, {elsewhere} tunnelled"
            );
            let echo = lab
                .client()
                .post(vip, "https://shop.example.test/", &file, BIG)
                .unwrap();
            assert_eq!(echo.body, BIG as u64);
        }
    }
    drop(agents);
}

#[test]
fn a_pod_that_is_gone_is_passed_over() {
    let Some(mut running) = Running::start() else {
        return;
    };
    running
        .lab
        .pods_mut()
        .iter_mut()
        .find(|pod| pod.name() == "red-1")
        .unwrap()
        .stop();
    for _ in 0..20 {
        let echo = running
            .lab
            .client()
            .echo(VIP_V4, "http://shop.example.test/")
            .unwrap();
        assert_eq!(
            echo.pod, "red-2",
            "a refused connection is retried at the other pod"
        );
    }
    for pod in running.lab.pods_mut() {
        pod.stop();
    }
    let answer = running
        .lab
        .client()
        .curl(VIP_V4, "http://shop.example.test/", &[])
        .unwrap();
    assert_eq!(answer.status, 502);
}

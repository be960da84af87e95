//! The topology itself, without agents: plain servers stand at the VIPs on every node.

use std::collections::BTreeSet;

use super::*;

/// Serves the VIPs' port 80 on every node until the senders are dropped.
fn serve_on_nodes(lab: &Lab) -> Vec<tokio::sync::oneshot::Sender<()>> {
    let mut stops = Vec::new();
    for number in 1..=3 {
        let node = lab.node(number).unwrap();
        node.ip(&format!(
            "address add {VIP_V4}/32 dev lo\naddress add {VIP_V6}/128 dev lo nodad"
        ))
        .unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let addresses = [VIP_V4, VIP_V6].map(|vip| (vip, 80).into());
        drop(node.spawn(move || {
            echo::serve(&format!("node{number}"), &addresses, stopped, || {
                ready.send(()).unwrap()
            })
        }));
        is_ready.recv().unwrap();
        stops.push(stop);
    }
    stops
}

/// Whether the lab can run here; says why when not, and fails when `CI` is set.
fn privileged() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(
        root || std::env::var_os("CI").is_none(),
        "CI is set, and the lab needs root"
    );
    if !root {
        eprintln!("not run: the lab needs root (network namespaces and XDP)");
    }
    root
}

#[test]
fn packets_enter_where_the_router_says_and_nothing_is_left() {
    if !privileged() {
        return;
    }
    let lab = Lab::builder("/nonexistent").build().unwrap();
    let (prefix, directory) = (lab.scratch.prefix().to_owned(), lab.directory().to_owned());
    let stops = serve_on_nodes(&lab);
    for vip in [VIP_V4, VIP_V6] {
        for node in 1..=3 {
            lab.router().enter_at(&[node]).unwrap();
            let echo = lab.client().echo(vip, "http://shop.example.test/x").unwrap();
            assert_eq!(echo.pod, format!("node{node}"));
            assert_eq!(echo.peer.ip(), if vip.is_ipv4() { CLIENT_V4 } else { CLIENT_V6 });
            let big = lab
                .client()
                .curl(vip, "http://shop.example.test/bytes/1048576", &[])
                .unwrap();
            assert_eq!(big.body.len(), 1 << 20);
            let file = lab.directory().join("body");
            let echo = lab
                .client()
                .post(vip, "http://shop.example.test/", &file, 1 << 20)
                .unwrap();
            assert_eq!(echo.body, 1 << 20);
        }
        lab.router().enter_anywhere().unwrap();
        let reached: BTreeSet<_> = (0..40)
            .map(|_| lab.client().echo(vip, "http://shop.example.test/").unwrap().pod)
            .collect();
        assert_eq!(reached.len(), 3, "ECMP spreads flows over all nodes: {reached:?}");
    }
    drop(stops);
    drop(lab);
    let left: Vec<_> = fs::read_dir("/run/netns")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert!(!directory.exists());
}

#[test]
fn pods_are_reached_from_every_node_and_pings_are_counted() {
    if !privileged() {
        return;
    }
    let lab = Lab::builder("/nonexistent").pods(2).build().unwrap();
    let ping = Ping::start(
        lab.client(),
        node_addresses(2)[1],
        std::time::Duration::from_millis(5),
    )
    .unwrap();
    for number in 1..=3 {
        for pod in lab.pods() {
            for address in [pod.v4().to_string(), format!("[{}]", pod.v6())] {
                let url = format!("http://{address}:{}/", pod::PORT);
                let text = lab
                    .node(number)
                    .unwrap()
                    .output("curl", &["-sS", "-g", &url])
                    .unwrap();
                let echo = Answer {
                    status: 200,
                    body: text.into_bytes(),
                }
                .echo()
                .unwrap();
                assert_eq!((echo.pod.as_str(), echo.node()), (pod.name(), Some(number)));
            }
        }
    }
    let pings = ping.stop().unwrap();
    assert!(pings.sent > 0);
    assert_eq!(pings.lost, 0);
}

#[test]
fn connections_know_their_owner_and_see_a_reset() {
    if !privileged() {
        return;
    }
    let lab = Lab::builder("/nonexistent").build().unwrap();
    let stops = serve_on_nodes(&lab);
    let to = std::net::SocketAddr::new(VIP_V4, 80);
    let pace = std::time::Duration::from_millis(200);
    let connections = Connections::open(lab.client(), to, "shop.example.test", 100, pace).unwrap();
    connections.wait_for_answers(2, pace * 20).unwrap();
    assert!(connections.held().iter().all(|held| held.end.is_none()));
    // Without agents, a flow that enters at another node meets no socket there.
    lab.router().enter_at(&[1]).unwrap();
    std::thread::sleep(pace * 4);
    let held = connections.close().unwrap();
    let resets = held.iter().filter(|held| held.end == Some(End::Reset)).count();
    let alive = held.iter().filter(|held| held.end.is_none()).count();
    assert_eq!(resets + alive, 100, "{held:?}");
    assert!(resets > 30 && alive > 10, "{resets} resets, {alive} alive");
    drop(stops);
}

//! What an agent on real XDP says of itself: state, the programs' counters, the plan.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use xtask::lab::{Agent, Lab, VIP_V4, VIP_V6};

use super::{eventually, lab};

/// The status and the body that a node's agent answers with; status 0: nobody answers.
fn ask(lab: &Lab, path: &str) -> (u16, String) {
    let socket: PathBuf = lab.directory().join("node1-run/admin.sock");
    let output = Command::new("curl")
        .args(["-s", "-w", "\n%{http_code}", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://agent{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The sum of a metric's series whose labels hold this text.
fn metric(lab: &Lab, name: &str, label: &str) -> f64 {
    let (_, text) = ask(lab, "/metrics");
    let series = text.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or_default();
        rest.starts_with(['{', ' ']) && rest.contains(label)
    });
    series
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

/// OP-5: ready only when it serves, and alive from its first answer.
fn start(lab: &Lab) -> Agent {
    let agent = lab.try_agent(1, &[]).unwrap();
    let mut seen = Vec::new();
    eventually("the agent is ready", Duration::from_secs(30), || {
        // Read before the question, so that what it says is of an earlier moment.
        let serves = agent.log().contains("in effect");
        let (ready, words) = ask(lab, "/readyz");
        assert!(ready != 503 || words.contains("not served yet"), "{words}");
        assert!(ready != 503 || !serves, "it serves and is not ready");
        seen.push(ready);
        ready == 200
    });
    assert!(agent.pins().join("VIP_ADDRS").exists(), "{seen:?}");
    assert!(
        agent.maps().unwrap().contains(&VIP_V4.to_string()),
        "the maps are written"
    );
    assert_eq!(ask(lab, "/livez"), (200, "ok\n".to_owned()));
    agent.wait_until_serving().unwrap();
    agent
}

#[test]
fn an_agent_on_xdp_tells_its_state_its_counters_and_its_plan() {
    let Some(lab) = lab(1) else { return };
    let agent = start(&lab);
    let kept = || metric(&lab, "ingress_agent_xdp_packets_total", "reason=\"kept");
    let vip = || {
        metric(
            &lab,
            "ingress_agent_xdp_vip_packets_total",
            &format!("vip=\"{VIP_V4}-80-tcp\""),
        )
    };
    let requests = || {
        metric(
            &lab,
            "ingress_agent_requests_total",
            "method=\"GET\",status=\"2xx\"",
        )
    };
    let before = (kept(), vip(), requests());
    for _ in 0..10 {
        lab.client().echo(VIP_V4, "http://shop.example.test/").unwrap();
    }
    lab.client().echo(VIP_V6, "http://shop.example.test/").unwrap();
    eventually("the counters", Duration::from_secs(10), || {
        requests() - before.2 >= 11.0
    });
    // A connection has a SYN, an ACK, a request and a FIN at least.
    assert!(kept() - before.0 >= 44.0 && vip() - before.1 >= 40.0);
    let counted = agent.counters().unwrap();
    for reason in ingress_common::Reason::ALL {
        let told = metric(
            &lab,
            "ingress_agent_xdp_packets_total",
            &format!("reason=\"{}\"", reason.name()),
        );
        assert!(told >= counted.get(*reason) as f64, "{}", reason.name());
    }

    let (status, plan) = ask(&lab, "/debug/plan");
    assert_eq!(status, 200, "{plan}");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let words = agent.maps().unwrap();
    let vips = plan["vips"].as_object().unwrap();
    assert_eq!(vips.len(), 4, "{plan}");
    assert_eq!(plan["announced"], serde_json::json!([VIP_V4, VIP_V6]));
    let announced = metric(&lab, "ingress_agent_announced_addresses", "");
    assert!((announced - 2.0).abs() < f64::EPSILON, "{announced}");
    for vip in vips.keys() {
        assert!(agent.pins().join("vips").join(vip).exists(), "{vip} has no map");
        let (address, _) = vip.split_once('-').unwrap();
        assert!(words.contains(address), "no {address} in:\n{words}");
    }
    let pinned = std::fs::read_dir(agent.pins().join("vips")).unwrap();
    assert_eq!(pinned.count(), vips.len());
    for node in plan["nodes"].as_object().unwrap().values() {
        for family in ["v4", "v6"] {
            let address = node[family].as_str().unwrap();
            assert!(words.contains(address), "no {address} in:\n{words}");
        }
    }
    let (_, model) = ask(&lab, "/debug/model");
    assert!(model.contains("shop.example.test") && !model.contains("PRIVATE KEY"));
    drop(agent);
}

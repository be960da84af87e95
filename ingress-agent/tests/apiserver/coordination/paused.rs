//! A leader that is stopped for a minute and wakes: OP-16 with a process of its own.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ingress_agent::cluster::Coordination;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::json;
use tokio::runtime::Runtime;

use super::PATIENCE;
use super::bed::{Bed, NAMESPACE, client, name};

/// Says to this test's own program that it is to be the leader, by which kubeconfig.
const AS_LEADER: &str = "COORDINATION_LEADER_BY";

/// Another program's part of the test below: leads, and writes as fast as it may, as long as it may.
#[test]
fn a_leader_in_a_process_of_its_own() {
    let Ok(kubeconfig) = env::var(AS_LEADER) else {
        return;
    };
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Runtime::new().unwrap().block_on(async {
        let client = client(Path::new(&kubeconfig));
        let agent = Coordination::start(&client, NAMESPACE, &Arc::from(name(0))).unwrap();
        let mut leadership = agent.leadership();
        let written: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        leadership.is_won().await;
        println!("leads");
        let mut count = 0;
        while leadership.is_held() {
            count += 1;
            let patch = Patch::Merge(json!({"data": {"count": count.to_string()}}));
            let parameters = PatchParams::default();
            written.patch("written", &parameters, &patch).await.unwrap();
        }
        println!("leads no more");
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_leader_that_slept_a_minute_writes_nothing_more() {
    let bed = Bed::start(2);
    bed.kubectl(&["create", "configmap", "written"]);
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([
            "coordination::paused::a_leader_in_a_process_of_its_own",
            "--exact",
            "--nocapture",
        ])
        .env(AS_LEADER, bed.plane.kubeconfig());
    let leader = bed.scratch.start("leader", &mut command).unwrap();
    leader.wait_for_log("leads", 0, PATIENCE).unwrap();
    let count = || bed.kubectl(&["get", "configmap/written", "--output=jsonpath={.data.count}"]);
    let before = count();
    let others = bed.run(async |bed| bed.agents(1..2));
    let number = |count: String| count.parse::<u32>().unwrap_or(0);
    let first = number(before);
    while number(count()) <= first {}

    leader.signal(Signal::STOP).unwrap();
    bed.run(async |_| {
        let mut leadership = others[0].leadership();
        let within = tokio::time::timeout(Duration::from_secs(15), leadership.is_won());
        within.await.unwrap();
    });
    let last = count();
    std::thread::sleep(Duration::from_secs(45));
    leader.signal(Signal::CONT).unwrap();
    leader.wait_for_log("leads no more", 0, PATIENCE).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(count(), last, "the woken one wrote");
    assert!(others[0].leadership().is_held());
    bed.run(async |_| drop(others));
}

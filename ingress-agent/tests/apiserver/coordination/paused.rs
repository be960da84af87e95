//! A leader that is stopped for a minute and wakes: OP-16 with a process of its own.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::cluster::{Coordination, Retention};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use rustix::process::Signal;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use super::PATIENCE;
use super::bed::{Bed, NAMESPACE, client, name};

/// Says to this test's own program that it is to be the leader, by which kubeconfig.
const AS_LEADER: &str = "COORDINATION_LEADER_BY";

/// The object that whoever leads writes.
const WRITTEN: &str = "written";

/// Another program's part of the test below: leads, and writes as fast as it may, as long as it may. As those of the
/// agent who write do: what it writes over was read before the look at the clock.
#[test]
fn a_leader_in_a_process_of_its_own() {
    let Ok(kubeconfig) = env::var(AS_LEADER) else {
        return;
    };
    _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Runtime::new().unwrap().block_on(async {
        let client = client(Path::new(&kubeconfig));
        let agent =
            Coordination::start(&client, NAMESPACE, &Arc::from(name(0)), Retention::default()).unwrap();
        let mut leadership = agent.leadership();
        let objects: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        leadership.is_won().await;
        eprintln!("leads");
        let mut count = 0;
        loop {
            // What it waited for when it was stopped may never come.
            let last = objects.get(WRITTEN).await;
            if !leadership.is_held() {
                break;
            }
            if let Ok(last) = last {
                count += 1;
                replace(&objects, last, format!("the first: {count}")).await;
            }
        }
        // No write of it is under way any more.
        eprintln!("leads no more");
        std::future::pending::<()>().await;
    });
}

/// Writes over what was read, unless somebody else has written meanwhile. The object as it is then; `None`: not written,
/// or not known to be.
async fn replace(objects: &Api<ConfigMap>, mut last: ConfigMap, text: String) -> Option<ConfigMap> {
    last.data = Some([("by".to_owned(), text)].into());
    let parameters = PostParams::default();
    objects.replace(WRITTEN, &parameters, &last).await.ok()
}

/// It may be stopped between its look at the clock and its write: that write is over a version that the next leader
/// has written over. Nothing else may come of it.
#[test]
fn a_leader_that_slept_a_minute_writes_nothing_more() {
    let bed = Bed::start(2);
    bed.kubectl(&["create", "configmap", WRITTEN]);
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
    let others = bed.run(async |bed| bed.agents(1..2));
    bed.run(async |bed| {
        let objects: Api<ConfigMap> = Api::namespaced(client(&bed.plane.kubeconfig()), NAMESPACE);
        let begin = Instant::now();
        let version = async || objects.get(WRITTEN).await.unwrap().metadata.resource_version;
        let first = version().await;
        while version().await == first {
            assert!(begin.elapsed() < PATIENCE, "the first writes nothing");
        }
        leader.signal(Signal::STOP).unwrap();
        let stopped = Instant::now();
        let mut leadership = others[0].leadership();
        let won = timeout(Duration::from_secs(15), leadership.is_won());
        won.await.unwrap();
        let written = loop {
            let last = objects.get(WRITTEN).await.unwrap();
            if let Some(written) = replace(&objects, last, "the second".to_owned()).await {
                break written;
            }
        };
        sleep(Duration::from_secs(60).saturating_sub(stopped.elapsed())).await;
        leader.signal(Signal::CONT).unwrap();
        leader.wait_for_log("leads no more", 0, PATIENCE).unwrap();
        assert_eq!(
            objects.get(WRITTEN).await.unwrap(),
            written,
            "the woken one wrote"
        );
        assert!(others[0].leadership().is_held());
        drop(others);
    });
}

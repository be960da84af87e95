//! Whose the entries of a status are, and who may take them away.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::agent::{Agent, Ingresses};
use crate::coordination::bed::Bed;

const POOL: &str = "\
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [198.51.100.10]}
";

/// Another controller's on the host's network: it publishes the nodes' addresses, as we do where there is no pool.
#[test]
fn the_status_of_another_controller_s_ingress_is_left_alone() {
    let bed = Bed::audited(1);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        ingresses.make(&["theirs", "shop"]);
        ingresses.give_away("theirs");
        assert!(
            ingresses
                .other_writes("theirs", &json!([{"ip": "192.0.2.1"}]))
                .await
        );
        let mut agent = Agent::start(bed, 0);
        agent.serve();
        ingresses.says("shop", "192.0.2.1 2001:db8::1").await;
        for round in 0..3 {
            let entries = json!([{"ip": "192.0.2.1"}, {"ip": format!("203.0.113.{round}")}]);
            assert!(ingresses.other_writes("theirs", &entries).await);
            // Told after that, and answered.
            let marker = format!("marker-{round}");
            ingresses.make(&[&marker]);
            ingresses.says(&marker, "192.0.2.1 2001:db8::1").await;
            assert_eq!(ingresses.answers(&marker), [200], "one write for a change");
        }
        assert_eq!(ingresses.entries("theirs").await, "192.0.2.1 203.0.113.2");
        assert!(ingresses.answers("theirs").is_empty());
        assert_eq!(ingresses.answers("shop"), [200]);
    });
}

/// And nothing is written before it is served.
#[test]
fn what_a_dead_leader_wrote_is_taken_away_by_the_next_and_nothing_else() {
    let bed = Bed::start(2);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        ingresses.apply(POOL);
        ingresses.make(&["moved", "stays"]);
        let others = json!([{"hostname": "lb.example.com"}, {"ip": "203.0.113.9"}]);
        assert!(ingresses.other_writes("stays", &others).await);
        let mut first = Agent::start(bed, 0);
        first.leads().await;
        first
            .reads("the address is recorded", |snapshot| {
                snapshot
                    .pools
                    .iter()
                    .any(|pool| !pool.value.assignments.is_empty())
            })
            .await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ingresses.entries("moved").await, "", "it is not served yet");
        first.serve();
        ingresses.says("moved", "198.51.100.10").await;
        ingresses
            .says("stays", "lb.example.com 203.0.113.9 198.51.100.10")
            .await;

        drop(first);
        bed.kubectl(&["delete", "vippool", "edge"]);
        ingresses.give_away("moved");
        // It has never seen the pool, and leads before it serves.
        let mut second = Agent::start(bed, 1);
        second.leads().await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ingresses.entries("moved").await, "198.51.100.10");
        second.serve();
        ingresses.says("moved", "").await;
        let nodes = "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2";
        ingresses
            .says("stays", &format!("lb.example.com 203.0.113.9 {nodes}"))
            .await;
    });
}

/// K8-9: a controller that writes the whole list, as often as it can, of an Ingress that we take for ours.
#[test]
fn two_controllers_of_one_ingress_write_no_oftener_than_each_must() {
    const SYNCS: usize = 100;
    let bed = Bed::audited(1);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        ingresses.apply(POOL);
        ingresses.make(&["shop"]);
        let mut agent = Agent::start(bed, 0);
        agent.serve();
        ingresses.says("shop", "198.51.100.10").await;
        for sync in 0..SYNCS {
            let entries = json!([{"ip": format!("203.0.113.{sync}")}]);
            assert!(ingresses.other_writes("shop", &entries).await);
        }
        ingresses
            .says("shop", &format!("203.0.113.{} 198.51.100.10", SYNCS - 1))
            .await;
        let settled = ingresses.version("shop").await;
        let answers = ingresses.answers("shop");
        let refused = answers.iter().filter(|code| **code == 409).count();
        eprintln!(
            "{} writes for {SYNCS} changes, {refused} of them in vain",
            answers.len()
        );
        assert!(answers.len() <= SYNCS + 1, "{answers:?}");
        // Nobody changes anything any more.
        sleep(Duration::from_secs(2)).await;
        assert_eq!(ingresses.version("shop").await, settled);
    });
}

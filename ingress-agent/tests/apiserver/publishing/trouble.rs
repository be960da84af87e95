//! What is published while something is wrong: a leader that died, nodes that fell silent, writes that are refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::model::MemberState;
use ingress_agent::translate::Snapshot;
use serde_json::json;
use tokio::time::sleep;

use super::agent::{Agent, Ingresses, PATIENCE};
use crate::coordination::bed::Bed;
use crate::objects::ingress;

const BOTH: &str = "192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2";

#[test]
fn after_the_leader_s_death_a_new_ingress_has_its_address_soon_and_nothing_else_changes() {
    let bed = Bed::start(2);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        ingresses.make(&["shop"]);
        let mut agents: Vec<_> = (0..2).map(|index| Agent::start(bed, index)).collect();
        for agent in &mut agents {
            agent.serve();
        }
        ingresses.says("shop", BOTH).await;
        let before = ingresses.version("shop").await;
        let leader = agents
            .iter()
            .position(|agent| agent.coordination.leadership().is_held());
        drop(agents.remove(leader.unwrap()));
        let died = Instant::now();
        ingresses.make(&["new"]);
        ingresses.says("new", BOTH).await;
        eprintln!("an address {:?} after the leader's death", died.elapsed());
        assert!(died.elapsed() < Duration::from_secs(15), "{:?}", died.elapsed());

        // The dead one's node may only be cut off: its addresses stay until it leaves.
        let state_is = |is: MemberState| {
            move |snapshot: &Arc<Snapshot>| {
                let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
                nodes.into_iter().any(|node| node.member.state == is)
            }
        };
        let left = agents.remove(0);
        left.reads("a silent node", state_is(MemberState::Silent)).await;
        ingresses.make(&["later"]);
        ingresses.says("later", BOTH).await;
        assert_eq!(ingresses.version("shop").await, before);
    });
}

#[test]
fn a_node_that_says_that_it_drains_gives_its_addresses_back() {
    let bed = Bed::start(2);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        ingresses.make(&["shop"]);
        let mut first = Agent::start(bed, 0);
        first.serve();
        first.leads().await;
        let second = Agent::start(bed, 1);
        ingresses.says("shop", BOTH).await;
        second.coordination.drain().await;
        ingresses.says("shop", "192.0.2.1 2001:db8::1").await;
    });
}

const POLICY: &str = "\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: closed}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [UPDATE], resources: [ingresses/status]}
  validations: [{expression: \"!object.metadata.name.startsWith('closed')\"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: closed}
spec: {policyName: closed, validationActions: [Deny]}
";

#[test]
fn writes_that_are_always_refused_keep_no_other_waiting() {
    let bed = Bed::start(1);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        let closed: Vec<_> = (0..20).map(|index| format!("closed-{index:02}")).collect();
        let closed: Vec<_> = closed.iter().map(String::as_str).collect();
        ingresses.make(&[&closed[..], &["open"]].concat());
        ingresses.apply(POLICY);
        let begin = Instant::now();
        let other = |entry: &str| json!([{"hostname": entry}]);
        for attempt in 0.. {
            let is_taken = ingresses
                .other_writes("closed-00", &other(&attempt.to_string()))
                .await;
            if !is_taken {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "the policy is not in force");
            sleep(Duration::from_millis(50)).await;
        }
        let mut agent = Agent::start(bed, 0);
        agent.serve();
        ingresses.says("open", "192.0.2.1 2001:db8::1").await;
        assert_eq!(ingresses.entries("closed-19").await, "");
        bed.kubectl(&["delete", "validatingadmissionpolicybinding", "closed"]);
        ingresses.says("closed-19", "192.0.2.1 2001:db8::1").await;
    });
}

#[test]
fn events_that_are_always_refused_keep_no_other_waiting() {
    let bed = Bed::start(1);
    bed.run(async |bed| {
        let ingresses = Ingresses::of(bed);
        let wrong = |name: &str, more: &str| {
            let metadata = format!(
                "metadata: {{name: {name}, annotations: {{nginx.ingress.kubernetes.io/auth-type: basic}}{more}}}"
            );
            ingress(name, "shop.test", "shop").replace(&format!("metadata: {{name: {name}}}"), &metadata)
        };
        // A namespace that ends takes no Event any more.
        bed.kubectl(&["create", "namespace", "ending"]);
        let stays = ", namespace: ending, finalizers: [example.com/stays]";
        let arguments = ["apply", "-f", "-"];
        bed.plane.kubectl_with(&arguments, &wrong("first", stays)).unwrap();
        bed.kubectl(&["delete", "namespace", "ending", "--wait=false"]);
        ingresses.apply(&wrong("second", ""));
        let mut agent = Agent::start(bed, 0);
        agent.serve();
        let begin = Instant::now();
        let path = "--output=jsonpath={range .items[*]}{.reason}:{.involvedObject.name} {end}";
        while !bed.kubectl(&["get", "events", path]).contains("AnnotationClosed:second") {
            assert!(begin.elapsed() < PATIENCE, "no Event");
            sleep(Duration::from_millis(200)).await;
        }
        let refused = bed.kubectl(&["get", "events", "--namespace", "ending", path]);
        assert_eq!(refused, "");
    });
}

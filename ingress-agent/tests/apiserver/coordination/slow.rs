//! An API server whose answers take five seconds (OP-7): writing waits, and nothing else changes.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingress_agent::cluster::Coordination;
use ingress_agent::model::MemberState;
use ingress_agent::source::kube::{self as source, Answers, Identity, Saved};
use ingress_agent::translate::Snapshot;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::bed::{self, Bed, NAMESPACE, name};
use super::{PATIENCE, leaders, led};

/// How late every byte of the API server's is.
const LATENCY: Duration = Duration::from_secs(5);
/// Until who did not expect it has got used to it.
const SETTLED: Duration = Duration::from_secs(45);
/// Three Leases' duration later.
const END: Duration = Duration::from_secs(90);

/// What node 0 sees of the cluster.
fn follow(
    bed: &Bed,
    kubeconfig: &Path,
    agent: &Coordination,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Arc<Snapshot>> {
    let node: Arc<str> = Arc::from(name(0));
    let scope = bed::scope(&node, agent, false);
    let place = bed.scratch.directory();
    let saved = Saved::new(place, place, Identity([1; 32]));
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(&node)));
    let client = bed::client(kubeconfig);
    tasks
        .spawn(async move { match source::watch(client, scope, saved, Answers::default(), sender).await {} });
    snapshots
}

/// The nodes that are members and do not drain.
fn active(snapshot: &Snapshot) -> usize {
    let nodes = snapshot.nodes.iter().flat_map(|nodes| &nodes.nodes);
    nodes
        .filter(|node| node.member.state == MemberState::Active)
        .count()
}

#[test]
fn a_slow_api_server_ends_no_membership_and_is_written_to_late() {
    let bed = Bed::start(3);
    let (relay, kubeconfig) = bed.relay();
    bed.run(async |bed| {
        let agents = bed.agents_by(&kubeconfig, 0..3);
        led(&agents).await;
        bed.numbered(3).await;
        let mut tasks = JoinSet::new();
        let mut snapshots = follow(bed, &kubeconfig, &agents[0], &mut tasks);
        let all = snapshots.wait_for(|snapshot| active(snapshot) == 3);
        timeout(PATIENCE, all).await.expect("all are members").unwrap();

        relay.slow(LATENCY);
        let begin = Instant::now();
        bed.kubectl(&[
            "create",
            "ingress",
            "late",
            "--class=xdp",
            "--rule=late.test/*=late:80",
        ]);
        let (mut arrived, mut looks, mut held, mut settled) = (None, 0, 0, None);
        while begin.elapsed() < END {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            assert_eq!(active(&snapshot), 3, "after {:?}", begin.elapsed());
            if !snapshot.ingresses.is_empty() {
                arrived.get_or_insert(begin.elapsed());
            }
            let leaders = leaders(&agents);
            assert!(leaders.len() <= 1, "{leaders:?} after {:?}", begin.elapsed());
            if begin.elapsed() > SETTLED {
                looks += 1;
                held += leaders.len();
                if settled.is_none() {
                    settled = Some(bed.leases().await);
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        let arrived = arrived.expect("the edit");
        eprintln!("the edit arrived after {arrived:?}; one led at {held} of the last {looks} looks");
        assert!(arrived > LATENCY && arrived < PATIENCE, "{arrived:?}");
        assert!(held * 10 > looks * 9, "one led at {held} of {looks} looks");
        let leases = bed.leases().await;
        for (before, now) in settled.unwrap().iter().zip(&leases) {
            assert_ne!(before.renewed, now.renewed, "{}", now.node);
            assert_eq!(before.clone().without_beat(), now.clone().without_beat());
        }
        assert_eq!(leases.len(), 3);
        drop(agents);
    });
}

/// Leases of nodes that have no agent here, without numbers.
async fn unnumbered(leases: &Api<Lease>, nodes: Range<u16>) {
    for node in nodes {
        let lease = json!({
            "metadata": {
                "name": format!("node-other-{node}"),
                "labels": {"ingress-agent.dev/lease": "node"},
                "annotations": {
                    "ingress-agent.dev/addresses": format!("198.51.100.{node}"),
                    "ingress-agent.dev/state": "active",
                    "ingress-agent.dev/labels": "{}",
                },
            },
            "spec": {"holderIdentity": format!("other-{node}"), "renewTime": "2026-11-21T00:00:00.000000Z"},
        });
        let lease = serde_json::from_value(lease).unwrap();
        leases.create(&PostParams::default(), &lease).await.unwrap();
    }
}

/// OP-16: another led meanwhile. Who hears of it late writes over what it saw, and not over what stands there.
#[test]
fn numbers_that_were_given_meanwhile_stay() {
    let bed = Bed::start(1);
    let (relay, kubeconfig) = bed.relay();
    bed.run(async |bed| {
        let agents = bed.agents_by(&kubeconfig, 0..1);
        led(&agents).await;
        bed.numbered(1).await;
        relay.slow(Duration::from_secs(2));
        let leases: Api<Lease> = Api::namespaced(bed::client(&bed.plane.kubeconfig()), NAMESPACE);
        // Its watch goes on, slowly, once it has seen this one.
        unnumbered(&leases, 1..2).await;
        bed.numbered(2).await;
        unnumbered(&leases, 2..7).await;
        for node in 2..7 {
            let number = (100 + node).to_string();
            let number = json!({"metadata": {"annotations": {"ingress-agent.dev/number": number}}});
            let (name, given) = (format!("node-other-{node}"), PatchParams::default());
            leases.patch(&name, &given, &Patch::Merge(number)).await.unwrap();
        }
        // Seen by it before the number that it gives this one.
        unnumbered(&leases, 7..8).await;
        let last = bed.numbered(8).await;
        let kept = last
            .iter()
            .filter_map(|lease| lease.number.filter(|number| *number > 100));
        assert_eq!(kept.collect::<Vec<_>>(), [102, 103, 104, 105, 106], "{last:#?}");
        drop(agents);
    });
}

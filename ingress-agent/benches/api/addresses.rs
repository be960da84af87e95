//! The first addresses: of an agent that publishes, started where 10,000 Ingresses have none.

use std::collections::HashSet;
use std::pin::pin;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::agent::{Agent, Home};
use crate::edits;
use crate::fill::{self, INGRESSES, NAMESPACE, PATH};
use crate::place::{Place, client};
use crate::rows::{row, rows_of};
use crate::usage;

const CASE: &str = "first addresses of 10,000 Ingresses";
/// Starts.
const ROUNDS: usize = 2;
/// What takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two edits, which come while addresses are written.
const APART: Duration = Duration::from_millis(100);
/// Writes at once that take the addresses away again.
const AT_ONCE: usize = 48;

/// What a start took, in seconds from exec.
struct Start {
    served: f64,
    written: f64,
    cpu: f64,
    servers: f64,
    edits: Vec<Duration>,
}

/// Starts of agents that publish the node's address.
pub(crate) fn rows(place: &Place) -> Vec<Value> {
    let starts: Vec<_> = (0..ROUNDS).map(|round| start(place, round)).collect();
    let worst = |of: fn(&Start) -> f64| starts.iter().map(of).fold(0.0, f64::max);
    let edits: Vec<_> = starts.iter().flat_map(|start| start.edits.clone()).collect();
    let mut rows = vec![
        row(
            CASE,
            "exec to first 200 of the last host, max",
            worst(|start| start.served),
            "s",
            ROUNDS,
        ),
        row(
            CASE,
            "exec to the last address, max",
            worst(|start| start.written),
            "s",
            ROUNDS,
        ),
        row(CASE, "CPU, max", worst(|start| start.cpu), "s", ROUNDS),
        row(
            CASE,
            "CPU of kube-apiserver and etcd, max",
            worst(|start| start.servers),
            "s",
            ROUNDS,
        ),
    ];
    rows.extend(rows_of(
        "an Ingress's path changed while addresses are written",
        edits,
    ));
    rows
}

fn start(place: &Place, round: usize) -> Start {
    // The last agent left without a word, and this one is not to wait until its time to lead is over.
    place.plane.kubectl(&["delete", "leases", "--all"]).unwrap();
    place.runtime.block_on(take_away(place));
    let before = place.server_cpu();
    let agent = Agent::publishing(place, "publishing", &Home::new());
    let last = fill::host(INGRESSES - 1);
    let (served, written, edits) = scope(|scope| {
        let written = scope.spawn(|| all_written(place));
        let served = agent.probe().until(&last, PATH, |answer| answer.status == 200);
        let ingresses = Api::namespaced(place.client(), NAMESPACE);
        let mut probe = agent.probe();
        let mut edits = Vec::new();
        while !written.is_finished() {
            sleep(APART);
            // Each to a path that no other edit makes.
            let edit = (round + 1) * 100_000 + edits.len();
            edits.push(edits::of_path(place, &ingresses, edit, &mut probe));
        }
        (served, written.join().unwrap(), edits)
    });
    let start = Start {
        served: (served - agent.began).as_secs_f64(),
        written: (written - agent.began).as_secs_f64(),
        cpu: usage::cpu(agent.process.id()).as_secs_f64(),
        servers: (place.server_cpu() - before).as_secs_f64(),
        edits,
    };
    eprintln!(
        "publishing: served after {:.3} s, all addresses after {:.3} s, {} edits",
        start.served,
        start.written,
        start.edits.len()
    );
    start
}

/// When all Ingresses were seen with an address.
fn all_written(place: &Place) -> Instant {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let api: Api<Ingress> = Api::namespaced(client(&place.plane.kubeconfig()).await, NAMESPACE);
        let ingresses = watcher(api, watcher::Config::default()).applied_objects();
        let mut ingresses = pin!(ingresses);
        let mut written = HashSet::new();
        let all = async {
            while written.len() < INGRESSES {
                let ingress = ingresses.try_next().await.unwrap().unwrap();
                if has_address(&ingress) {
                    written.insert(ingress.metadata.name);
                }
            }
            Instant::now()
        };
        timeout(PATIENCE, all).await.expect("an address for each")
    })
}

fn has_address(ingress: &Ingress) -> bool {
    let balancer = ingress
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref());
    balancer.is_some_and(|balancer| {
        balancer
            .ingress
            .as_ref()
            .is_some_and(|entries| !entries.is_empty())
    })
}

/// Leaves no Ingress an address.
async fn take_away(place: &Place) {
    let api: Api<Ingress> = Api::namespaced(client(&place.plane.kubeconfig()).await, NAMESPACE);
    let listed = api.list(&ListParams::default()).await.unwrap();
    let written = listed.items.into_iter().filter(has_address);
    let none = &Patch::Merge(json!({"status": {"loadBalancer": null}}));
    let cleared = futures::stream::iter(written).map(|ingress| {
        let api = api.clone();
        async move {
            let name = ingress.metadata.name.unwrap();
            api.patch_status(&name, &PatchParams::default(), none)
                .await
                .unwrap();
        }
    });
    cleared.buffer_unordered(AT_ONCE).collect::<()>().await;
}

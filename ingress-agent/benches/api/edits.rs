//! Edits: from the API server's answer to the PATCH until the agent answers by it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::fill::{self, INGRESSES, NAMESPACE, PATH, PODS};
use crate::place::Place;
use crate::pods;
use crate::probe::Probe;
use crate::rows::{row, rows_of};

/// Between two edits: each comes alone, and the agent's pause between two changes is over.
const APART: Duration = Duration::from_millis(50);

/// So many edits of each kind.
pub(crate) fn rows(place: &Place, agent: &Agent, rounds: usize) -> Vec<Value> {
    let client = place.client();
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), NAMESPACE);
    let slices: Api<EndpointSlice> = Api::namespaced(client, NAMESPACE);
    let mut rows = of("an Ingress's path changed", agent, rounds, |round, probe| {
        of_path(place, &ingresses, round, probe)
    });
    rows.extend(of("endpoints changed", agent, rounds, |round, probe| {
        // Of another Service than above: its Ingresses answer where they did at first.
        let number = edited(round) + 3;
        let service = fill::service_of(number);
        let first = service * PODS;
        let addresses = || (first..first + PODS).map(pods::new);
        let patch = json!({"endpoints": fill::endpoints(addresses())});
        let changed = patch_now(place, &slices, &format!("app-{service}-x"), &patch);
        let new: Vec<_> = addresses().map(|address| address.to_string()).collect();
        let seen = probe.until(&fill::host(number), PATH, |answer| new.contains(&answer.body));
        seen - changed
    }));
    rows
}

/// Changes an Ingress's path, and waits until the new one answers. How long that took.
pub(crate) fn of_path(place: &Place, ingresses: &Api<Ingress>, round: usize, probe: &mut Probe) -> Duration {
    let number = edited(round) + 1;
    let path = format!("/edit-{round}");
    let patch = json!({"spec": {"rules": fill::rules(number, &path)}});
    let changed = patch_now(place, ingresses, &format!("web-{number}"), &patch);
    let seen = probe.until(&fill::host(number), &path, |answer| answer.status == 200);
    seen - changed
}

/// Scattered, and not the last one. Before Ingresses without TLS, which answer in plain HTTP.
fn edited(round: usize) -> usize {
    round * 370 % INGRESSES
}

/// When the API server's answer was here.
fn patch_now<K>(place: &Place, api: &Api<K>, name: &str, patch: &Value) -> Instant
where
    K: Clone + DeserializeOwned + Debug,
{
    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
    place.runtime.block_on(api.patch(name, &params, &patch)).unwrap();
    Instant::now()
}

fn of(
    what: &str,
    agent: &Agent,
    rounds: usize,
    mut edit: impl FnMut(usize, &mut Probe) -> Duration,
) -> Vec<Value> {
    let case = format!("{what}, among 10,000 Ingresses");
    let mut probe = agent.probe();
    let (cpu, own) = (agent.cpu(), agent.translated());
    let times: Vec<_> = (0..rounds)
        .map(|round| {
            std::thread::sleep(APART);
            edit(round, &mut probe)
        })
        .collect();
    let cpu = (agent.cpu() - cpu).as_secs_f64() * 1e3 / rounds as f64;
    let [seconds, count] = [0, 1].map(|at| agent.translated()[at] - own[at]);
    let mut rows = rows_of(&case, times);
    rows.push(row(
        &case,
        "of that, translation, mean",
        seconds * 1e3 / count,
        "ms",
        rounds,
    ));
    rows.push(row(&case, "CPU per edit", cpu, "ms", rounds));
    eprintln!("{}", serde_json::to_string(&rows).unwrap());
    rows
}

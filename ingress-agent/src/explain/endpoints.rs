//! The last step: the pods, and how they do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::step::{Step, StepName};
use super::{Basis, Subject, fault::Told};
use crate::model::{Backend, EndpointState, ObjectRef};
use crate::proxy::{EndpointHealth, HealthState};

/// The pods of a backend, `fault` being what is wrong with it.
pub(super) fn step(
    subject: &Subject<'_>,
    backend: &Backend,
    healths: &[EndpointHealth],
    fault: Option<Told<'_>>,
) -> Step {
    if backend.endpoints.is_empty() {
        let step = Step::found(StepName::Endpoints, "none");
        return match fault {
            Some(_) | None if subject.snapshot.endpoints.is_empty() && subject.basis != Basis::Agent => step
                .fails(
                    "the folder holds no EndpointSlices, so no pod is known",
                    "add them (`kubectl get endpointslices -A -o yaml`), or ask a running agent, without -f",
                ),
            Some(told) => told.tell(step),
            None => step.fails(
                "the Service has no endpoint that may be called",
                "start its pods, or see why they are not ready",
            ),
        };
    }
    let service = ObjectRef {
        kind: "Service",
        namespace: Arc::clone(&backend.id.namespace),
        name: Arc::clone(&backend.id.service),
    };
    let said = backend.endpoints.iter().map(|endpoint| {
        let health = health_of(healths, endpoint.address).filter(|_| subject.basis == Basis::Agent);
        let terminating = (endpoint.state == EndpointState::Draining).then(|| "terminating".to_owned());
        let said: Vec<_> = terminating.into_iter().chain(health.map(told)).collect();
        if said.is_empty() {
            return endpoint.address.to_string();
        }
        format!("{} ({})", endpoint.address, said.join(", "))
    });
    let said: Vec<_> = said.collect();
    let step = Step::found(StepName::Endpoints, said.join(", "))
        .from(&service, Some("EndpointSlices: endpoints[].addresses".to_owned()));
    if healths.iter().any(|health| !health.state.is_ejected()) {
        return step;
    }
    step.fails(
        "every endpoint is out of use: connections fail, or nothing answers",
        "see why the pods do not answer at these addresses; each is in use again once a probe reaches it",
    )
}

/// The endpoints of which one is called: the ready ones, else the terminating ones; those that are silent only
/// when no other is left, and never those that cannot be reached.
pub(super) fn called(backend: &Backend, healths: &[EndpointHealth]) -> Vec<SocketAddr> {
    let called = |wanted: EndpointState, silent: bool| -> Vec<SocketAddr> {
        let endpoints = backend.endpoints.iter().filter(|one| one.state == wanted);
        let fits = |address: &SocketAddr| {
            health_of(healths, *address).is_some_and(|health| match health.state {
                HealthState::Well | HealthState::Warming => !silent,
                HealthState::Silent => silent,
                HealthState::Unreachable => false,
            })
        };
        endpoints.map(|one| one.address).filter(fits).collect()
    };
    let (ready, terminating) = (EndpointState::Ready, EndpointState::Draining);
    let orders = [
        (ready, false),
        (terminating, false),
        (ready, true),
        (terminating, true),
    ];
    let mut called = orders.into_iter().map(|(state, silent)| called(state, silent));
    called.find(|called| !called.is_empty()).unwrap_or_default()
}

fn health_of(healths: &[EndpointHealth], address: SocketAddr) -> Option<&EndpointHealth> {
    healths.iter().find(|health| health.address == address)
}

/// How an endpoint does: `unreachable for 12 s, 3 under way, answers in 1.2 ms`.
fn told(health: &EndpointHealth) -> String {
    let EndpointHealth {
        address: _,
        tls: _,
        server_name: _,
        state,
        since_ms,
        in_flight,
        latency_us,
    } = health;
    let since = Duration::from_secs(since_ms / 1000);
    let mut said = match state {
        HealthState::Well => "well".to_owned(),
        HealthState::Warming => format!("warming up for {since:?}"),
        HealthState::Silent => format!("out of use for {since:?}: it does not answer"),
        HealthState::Unreachable => format!("out of use for {since:?}: no connection"),
    };
    said.push_str(&format!(", {in_flight} under way"));
    if let Some(latency) = latency_us {
        said.push_str(&format!(", answers in {:.1} ms", latency / 1000.0));
    }
    said
}

//! Which rule answers a URL, and why: each step from the VIP to the endpoints, or the step that fails.
//!
//! ```text
//! request ─▶ proxy::trace (the code that routes) ─▶ steps ─▶ Explanation
//!                 ▲                                   ▲
//!               Table ◀── Model                 Snapshot, Report: whose field it is, and what repairs it
//! ```
//!
//! Pure: no socket, no folder, no clock. What the data plane does comes from [`crate::proxy::trace`]; here it is
//! only told, with the object and the field it comes from. Words about faults are `translate`'s own. The same
//! code answers of a folder and of a running agent, whose table knows besides how its endpoints do.

mod endpoints;
mod fault;
mod host;
mod policies;
mod query;
mod request;
mod routing;
mod step;
mod text;
mod transport;

use std::net::SocketAddr;

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::model::{Action, Model};
use crate::proxy::Table;
use crate::proxy::trace::{Stage, Trace, trace};
use crate::translate::{Report, Snapshot};

pub use query::QueryError;
pub use request::{Field, Request, RequestError, Url};
pub use step::{Step, StepName};

/// What is explained: all that one state of the objects means.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The objects.
    pub snapshot: &'a Snapshot,
    /// What they mean.
    pub model: &'a Model,
    /// What is wrong with them.
    pub report: &'a Report,
    /// The model, as workers read it.
    pub table: &'a Table,
    /// Where it is from.
    pub basis: Basis,
}

/// Where a state of the objects is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// A running agent serves it: how its endpoints do is known.
    Agent,
    /// A folder.
    Folder,
    /// A folder without a VipPool: ordinary listeners are assumed at the port that is asked for.
    Assumed,
}

/// What would become of a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Explanation {
    /// As it was asked.
    pub url: String,
    /// In the order of the request's way. What comes after a step that ends it is not there.
    pub steps: Vec<Step>,
    /// How it ends.
    pub answer: Answer,
}

/// How a request ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Answer {
    /// One of these endpoints answers.
    Forwarded {
        /// By address. Those that are terminating, or out of use, are here only when no other is.
        endpoints: Vec<SocketAddr>,
    },
    /// The agent sends the client elsewhere.
    Redirected {
        /// The status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The agent answers itself.
    Answered {
        /// The status.
        status: u16,
        /// The reason.
        why: String,
    },
    /// No answer: nothing serves that address and port, or not in that protocol.
    Unserved {
        /// The reason.
        why: String,
    },
}

impl Explanation {
    /// Whether the request gets what its route is for: an endpoint's answer, or a redirect.
    pub fn is_served(&self) -> bool {
        matches!(self.answer, Answer::Forwarded { .. } | Answer::Redirected { .. })
    }
}

/// Follows a request and tells each step.
pub fn explain(subject: &Subject<'_>, request: &Request) -> Explanation {
    let mut steps = Vec::new();
    let answer = follow(subject, request, &mut steps);
    Explanation {
        url: request.url.to_string(),
        steps,
        answer,
    }
}

fn follow(subject: &Subject<'_>, request: &Request, steps: &mut Vec<Step>) -> Answer {
    let (listener, step) = transport::vip(subject, request);
    steps.push(step);
    let unserved = |steps: &[Step]| Answer::Unserved {
        why: steps.last().and_then(|step| step.why.clone()).unwrap_or_default(),
    };
    let Some(listener) = listener.filter(|listener| listener.tls == request.url.tls()) else {
        return unserved(steps);
    };
    let local = SocketAddr::new(listener.vip.address, listener.vip.port.get());
    let trace = trace(subject.table, &request.asked(local));
    if listener.tls {
        steps.push(transport::certificate(subject, request, listener, &trace));
    }
    if trace.stage == Stage::Handshake {
        return unserved(steps);
    }
    routing::steps(subject, listener, &trace, steps);
    answer(&trace)
}

fn answer(trace: &Trace) -> Answer {
    if let Some((status, why)) = &trace.refusal {
        return answered(*status, why);
    }
    if let Some(location) = &trace.redirect {
        return Answer::Redirected {
            status: StatusCode::PERMANENT_REDIRECT.as_u16(),
            location: location.clone(),
        };
    }
    match trace.rule.as_ref().map(|rule| &rule.action) {
        Some(Action::Forward(backend)) => Answer::Forwarded {
            endpoints: endpoints::called(backend, &trace.endpoints),
        },
        // Without a rule, or with one that refuses, the trace holds the refusal.
        Some(Action::Refuse) | None => answered(StatusCode::NOT_FOUND, "no route matches this host and path"),
    }
}

fn answered(status: StatusCode, why: &str) -> Answer {
    Answer::Answered {
        status: status.as_u16(),
        why: why.to_owned(),
    }
}

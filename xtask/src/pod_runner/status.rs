//! What the API server is told of a Pod.

use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// How a Pod's container is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// It does not run: a reason as kubelet's, and words.
    Waiting(&'static str, String),
    /// It runs as a process with this number.
    Running(i32),
    /// It has ended for good.
    Terminated,
}

/// How a Pod is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    pub(super) container: String,
    pub(super) image: String,
    /// The Pod's and its node's, once it has a place.
    pub(super) addresses: Option<(IpAddr, IpAddr)>,
    pub(super) state: State,
    pub(super) ready: bool,
    pub(super) restarts: u32,
}

impl Status {
    /// As a merge patch; `since`: when it became ready, or not ready.
    pub(super) fn patch(&self, since: Timestamp) -> Value {
        let is = |holds: bool| if holds { "True" } else { "False" };
        let condition =
            |kind: &str, holds: bool| json!({"type": kind, "status": is(holds), "lastTransitionTime": since});
        let (phase, state, id) = match &self.state {
            State::Waiting(reason, message) => (
                if self.restarts > 0 { "Running" } else { "Pending" },
                json!({"waiting": {"reason": reason, "message": message}}),
                String::new(),
            ),
            State::Running(process) => (
                "Running",
                json!({"running": {"startedAt": since}}),
                format!("process://{process}"),
            ),
            State::Terminated => ("Running", json!({"terminated": {"exitCode": 0}}), String::new()),
        };
        let mut status = json!({
            "phase": phase,
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", self.ready),
                condition("Ready", self.ready),
            ],
            "containerStatuses": [{
                "name": self.container,
                "image": self.image,
                "imageID": self.image,
                "containerID": id,
                "ready": self.ready,
                "started": matches!(self.state, State::Running(_)),
                "restartCount": self.restarts,
                "state": state,
            }],
        });
        if let (Some(fields), Some((pod, host))) = (status.as_object_mut(), self.addresses) {
            fields.insert("podIP".to_owned(), json!(pod));
            fields.insert("podIPs".to_owned(), json!([{"ip": pod}]));
            fields.insert("hostIP".to_owned(), json!(host));
            fields.insert("hostIPs".to_owned(), json!([{"ip": host}]));
        }
        json!({"status": status})
    }
}

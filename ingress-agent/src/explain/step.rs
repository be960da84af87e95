//! One step of a request's way.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::ObjectRef;

/// Which step.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepName {
    /// The address and port that are dialled.
    Vip,
    /// The certificate that is shown.
    Certificate,
    /// The request's head: its form, its Host, its path.
    Request,
    /// Which host pattern.
    Host,
    /// Which path of that host.
    Path,
    /// What the rule asks for beside an endpoint.
    Policies,
    /// Which Service and port.
    Service,
    /// Which pods.
    Endpoints,
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vip => "vip",
            Self::Certificate => "certificate",
            Self::Request => "request",
            Self::Host => "host",
            Self::Path => "path",
            Self::Policies => "policies",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
        })
    }
}

/// What one step found, and where that stands; or why it fails, and what repairs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Which.
    pub step: StepName,
    /// Whether it did what the author of the objects wants of it.
    pub ok: bool,
    /// The object it comes from, as `KIND NAMESPACE/NAME`.
    pub object: Option<String>,
    /// The field there; without an object, a flag of the agent's.
    pub field: Option<String>,
    /// What it found.
    pub value: String,
    /// Why it fails; of one that does not, what it rests on.
    pub why: Option<String>,
    /// The change that repairs it.
    pub change: Option<String>,
}

impl Step {
    /// A step that succeeds.
    pub(super) fn found(step: StepName, value: impl Into<String>) -> Self {
        Self {
            step,
            ok: true,
            object: None,
            field: None,
            value: value.into(),
            why: None,
            change: None,
        }
    }

    /// Where it stands.
    pub(super) fn from(mut self, object: &ObjectRef, field: Option<String>) -> Self {
        self.object = Some(object.to_string());
        self.field = field;
        self
    }

    /// By which flag of the agent's it is there.
    pub(super) fn at(mut self, flag: &str) -> Self {
        self.field = Some(flag.to_owned());
        self
    }

    /// It holds for a reason that is to be known.
    pub(super) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// It fails.
    pub(super) fn fails(mut self, why: impl Into<String>, change: impl Into<String>) -> Self {
        self.ok = false;
        self.why = Some(why.into());
        self.change = Some(change.into());
        self
    }
}

//! Why a key of the ConfigMap does not have the effect that it should.

use std::fmt;

/// What its author should know of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// The key.
    pub key: String,
    /// Why it has not the effect that it should.
    pub why: Why,
}

/// See [`Remark`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// There is no such flag; perhaps this one is meant.
    Unknown(Option<String>),
    /// It is a key of ingress-nginx's, and this is its place here.
    OfIngressNginx(&'static str),
    /// It is a flag that no ConfigMap sets, for this reason.
    Elsewhere(&'static str),
    /// This is no truth value.
    NoBoolean(String),
    /// The flag's parser refuses it, in these words.
    Malformed(String),
    /// The flag is given, and wins.
    Flag,
    /// The flag's variable is set, and wins.
    Environment,
    /// It takes effect when the agent starts.
    Waits,
}

/// What came of a key that has not its effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is of no use as it stands.
    Refused,
    /// What is given elsewhere wins.
    Overruled,
    /// It waits for the agent's next start.
    Waiting,
}

impl Why {
    /// Of what clap says: its first paragraph, the rest being advice for who typed the line.
    pub(super) fn malformed(error: &clap::Error) -> Self {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let words: Vec<_> = first.split_whitespace().collect();
        let text = words.join(" ");
        Self::Malformed(text.strip_prefix("error: ").unwrap_or(&text).to_owned())
    }

    /// What came of the key.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unknown(_)
            | Self::OfIngressNginx(_)
            | Self::Elsewhere(_)
            | Self::NoBoolean(_)
            | Self::Malformed(_) => Outcome::Refused,
            Self::Flag | Self::Environment => Outcome::Overruled,
            Self::Waits => Outcome::Waiting,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        write!(f, "key {key}: ")?;
        match &self.why {
            Why::Unknown(Some(nearest)) => write!(f, "there is no such key; did you mean {nearest}?"),
            Why::Unknown(None) => write!(
                f,
                "there is no such key; `ingress-agent run --help` has them all, as its flags"
            ),
            Why::OfIngressNginx(flag) => write!(f, "it is ingress-nginx's; here it is {flag}"),
            Why::Elsewhere(reason) => write!(f, "{reason}: give the flag or its environment variable"),
            Why::NoBoolean(value) => {
                write!(f, "found '{value}', expected true or false; it counts as absent")
            }
            Why::Malformed(error) => write!(f, "{error}; it counts as absent"),
            Why::Flag => write!(f, "the flag --{key} is given, and wins"),
            Why::Environment => write!(
                f,
                "the environment has INGRESS_AGENT_{}, which wins",
                key.to_uppercase().replace('-', "_")
            ),
            Why::Waits => write!(
                f,
                "it is another than when this agent started, and takes effect when its Pod is restarted: `kubectl \
                 rollout restart daemonset/ingress-agent` in its namespace"
            ),
        }
    }
}

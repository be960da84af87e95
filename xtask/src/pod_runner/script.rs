//! Annotations that make a Pod fail in known ways:
//!
//! | `runner.ingress-agent.dev/` | |
//! |---|---|
//! | `slow-ready: SECONDS` | it is ready no sooner after its container's start |
//! | `ignores-TERM: "true"` | its container lives until its grace period is over |
//! | `dies-at-once: "true"` | its container ends as soon as it starts, with status 1 |
//! | `unready: "true"` | it is not ready, whatever its probe says; may come and go while it runs |

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

const PREFIX: &str = "runner.ingress-agent.dev/";

/// What a Pod's annotations ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Script {
    pub(super) slow_ready: Duration,
    pub(super) ignores_term: bool,
    pub(super) dies_at_once: bool,
    pub(super) unready: bool,
}

impl Script {
    /// Reads them; one that is not known is an error.
    pub(super) fn of(pod: &Pod) -> Result<Self> {
        let mut script = Self::default();
        for (key, value) in pod.annotations() {
            let Some(name) = key.strip_prefix(PREFIX) else {
                continue;
            };
            let flag = || {
                let flag = value.parse();
                flag.with_context(|| format!("{key}: {value} is not true or false"))
            };
            match name {
                "slow-ready" => {
                    let seconds = value.parse().with_context(|| format!("{key}: {value}"))?;
                    script.slow_ready = Duration::try_from_secs_f64(seconds).with_context(|| key.clone())?;
                }
                "ignores-TERM" => script.ignores_term = flag()?,
                "dies-at-once" => script.dies_at_once = flag()?,
                "unready" => script.unready = flag()?,
                _ => bail!("{key} is not an annotation of the runner's"),
            }
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn script(annotations: &[(&str, &str)]) -> Result<Script> {
        let annotations = annotations
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let mut pod = Pod::default();
        pod.metadata.annotations = Some(BTreeMap::from_iter(annotations));
        Script::of(&pod)
    }

    #[test]
    fn an_annotation_that_would_do_nothing_is_refused() {
        let read = script(&[
            ("runner.ingress-agent.dev/slow-ready", "1.5"),
            ("runner.ingress-agent.dev/unready", "true"),
            ("example.test/other", "x"),
        ]);
        let expected = Script {
            slow_ready: Duration::from_millis(1500),
            unready: true,
            ..Script::default()
        };
        assert_eq!(read.unwrap(), expected);
        for (key, value) in [
            ("ignores-term", "true"),
            ("dies-at-once", "yes"),
            ("slow-ready", "-1"),
        ] {
            assert!(
                script(&[(&format!("{PREFIX}{key}"), value)]).is_err(),
                "{key}: {value}"
            );
        }
    }
}

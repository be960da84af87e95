//! A container's environment and arguments, as its Pod has them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use kube::ResourceExt as _;

use super::sandbox::Sandbox;

/// The variables of a Pod's container, in the API server's order: what Kubernetes adds, then the container's own.
pub(super) fn variables(
    pod: &Pod,
    container: &Container,
    sandbox: &Sandbox,
    api: SocketAddr,
) -> Result<BTreeMap<String, String>> {
    let spec = pod.spec.as_ref().context("a Pod has a spec")?;
    let host = match (&spec.node_name, spec.host_network) {
        (Some(node), Some(true)) => node.clone(),
        _ => pod.name_any(),
    };
    let mut variables = BTreeMap::from([
        ("HOSTNAME".to_owned(), host),
        ("KUBERNETES_SERVICE_HOST".to_owned(), api.ip().to_string()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), api.port().to_string()),
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
    ]);
    for variable in container.env.iter().flatten() {
        let value = value(variable, pod, sandbox, &variables)?;
        variables.insert(variable.name.clone(), value);
    }
    Ok(variables)
}

fn value(
    variable: &EnvVar,
    pod: &Pod,
    sandbox: &Sandbox,
    before: &BTreeMap<String, String>,
) -> Result<String> {
    let Some(from) = &variable.value_from else {
        return Ok(expand(variable.value.as_deref().unwrap_or_default(), before));
    };
    let field = from.field_ref.as_ref();
    let field =
        field.with_context(|| format!("env {}: only a fieldRef is understood here", variable.name))?;
    self::field(pod, &field.field_path, sandbox).with_context(|| format!("env {}", variable.name))
}

/// A field of a Pod, as the downward API names it.
pub(super) fn field(pod: &Pod, path: &str, sandbox: &Sandbox) -> Result<String> {
    let spec = pod.spec.as_ref().context("a Pod has a spec")?;
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => sandbox.host.to_string(),
        "status.podIP" | "status.podIPs" => sandbox.address.to_string(),
        other => bail!("fieldPath {other} is not understood here"),
    })
}

/// Puts variables in for `$(NAME)`; `$$` is one `$`, and what is not known stays as it is.
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let named = after
            .strip_prefix('(')
            .and_then(|after| after.split_once(')'))
            .and_then(|(name, after)| Some((variables.get(name)?, after)));
        rest = match (named, after.strip_prefix('$')) {
            (Some((value, after)), _) => {
                out.push_str(value);
                after
            }
            (None, Some(after)) => {
                out.push('$');
                after
            }
            (None, None) => {
                out.push('$');
                after
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_as_kubernetes_does() {
        let variables = BTreeMap::from([("NODE".to_owned(), "node1".to_owned())]);
        for (text, expanded) in [
            ("--node=$(NODE)", "--node=node1"),
            ("$(NODE)$(NODE)", "node1node1"),
            ("$$(NODE) $(OTHER) $NODE $", "$(NODE) $(OTHER) $NODE $"),
            ("$(NODE", "$(NODE"),
        ] {
            assert_eq!(expand(text, &variables), expanded);
        }
    }
}

//! Kubernetes YAML, as users write it.

use crate::ledger::Pod;

/// An endpoint's conditions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Ready,
    /// `serving` and `terminating`: it finishes what it has.
    Terminating,
}

/// An IngressClass; `ours`: of this agent's controller.
pub(crate) fn class(name: &str, ours: bool) -> String {
    let controller = if ours {
        "ingress-agent.dev/xdp"
    } else {
        "example.com/other"
    };
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}}}\nspec: {{controller: {controller}}}\n"
    )
}

/// An Ingress of one host whose paths lead to Services; with a Secret of the name `HOST`, if `tls`.
pub(crate) fn ingress(class: &str, namespace: &str, host: &str, tls: bool, paths: &[(&str, &str)]) -> String {
    let tls = if tls {
        format!("  tls: [{{hosts: [{host}], secretName: {host}}}]\n")
    } else {
        String::new()
    };
    let paths: String = paths
        .iter()
        .map(|(path, service)| {
            format!(
                "          - {{path: {path}, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}\n"
            )
        })
        .collect();
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {host}\n  namespace: {namespace}\n  \
         annotations: {{nginx.ingress.kubernetes.io/ssl-redirect: \"false\"}}\nspec:\n  ingressClassName: {class}\n{tls}  \
         rules:\n    - host: {host}\n      http:\n        paths:\n{paths}"
    )
}

/// A Service and an EndpointSlice for each of its pods, as their ports differ.
pub(crate) fn service(namespace: &str, name: &str, pods: &[(&Pod, State)]) -> String {
    let slices = pods.iter().map(|(pod, state)| {
        let (address, port) = (pod.address.ip(), pod.address.port());
        let conditions = match state {
            State::Ready => "{ready: true, serving: true, terminating: false}",
            State::Terminating => "{ready: false, serving: true, terminating: true}",
        };
        format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{port}, namespace: \
             {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: http, \
             port: {port}}}]\nendpoints: [{{addresses: [\"{address}\"], conditions: {conditions}}}]\n"
        )
    });
    let service = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{ports: [{{name: \
         http, port: 80}}]}}\n"
    );
    std::iter::once(service).chain(slices).collect()
}

/// A TLS Secret of this name.
pub(crate) fn secret(namespace: &str, name: &str, chain: &str, key: &str) -> String {
    let indent = |pem: &str| pem.trim_end().replace('\n', "\n    ");
    format!(
        "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}, namespace: \
         {namespace}}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indent(chain),
        indent(key)
    )
}

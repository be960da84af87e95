//! The manifests that these tests apply.

/// The node that agents say they are on, without a kubelet.
pub(crate) const NODE: &str = "\
apiVersion: v1
kind: Node
metadata: {name: node1}
status: {addresses: [{type: InternalIP, address: 10.2.0.1}]}
";

/// A Service without a selector, and the slice of its one pod.
pub(crate) fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Service\n\
         metadata: {{name: {name}}}\n\
         spec: {{ports: [{{port: 80, targetPort: 8080}}]}}\n\
         ---\n\
         apiVersion: discovery.k8s.io/v1\n\
         kind: EndpointSlice\n\
         metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\n\
         ports: [{{port: 8080}}]\n\
         endpoints: [{{addresses: ['{address}']}}]\n"
    )
}

/// An Ingress that sends a host to a Service.
pub(crate) fn ingress(name: &str, host: &str, service: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\n\
         kind: Ingress\n\
         metadata: {{name: {name}}}\n\
         spec:\n\
         \x20 ingressClassName: xdp\n\
         \x20 rules:\n\
         \x20 - host: {host}\n\
         \x20   http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}\n"
    )
}

/// The same, with a certificate.
pub(crate) fn ingress_tls(name: &str, host: &str, service: &str, secret: &str) -> String {
    ingress(name, host, service) + &format!("\x20 tls: [{{hosts: [{host}], secretName: {secret}}}]\n")
}

/// A Deployment of `image`, whose Pods are labelled and ready when they take a connection on port 8080; and its
/// Service. `pod`: more of the Pods' metadata, `spec`: more of their spec.
pub(crate) fn deployment(name: &str, image: &str, replicas: u8, pod: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata: {{name: {name}}}\n\
         spec:\n\
         \x20 replicas: {replicas}\n\
         \x20 selector: {{matchLabels: {{app: {name}}}}}\n\
         \x20 template:\n\
         \x20   metadata: {{labels: {{app: {name}}}, {pod}}}\n\
         \x20   spec:\n\
         \x20     {spec}\n\
         \x20     containers:\n\
         \x20     - name: {name}\n\
         \x20       image: {image}\n\
         \x20       readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}\n\
         ---\n\
         apiVersion: v1\n\
         kind: Service\n\
         metadata: {{name: {name}}}\n\
         spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
    )
}

//! Folders for tests, and a short way to say what is in a model.

use std::path::Path;
use std::sync::Arc;

use ingress_agent::model::{Action, Host, Listener, Model, Policies, Route, Site};
use ingress_agent::source::file;
use ingress_agent::translate::{Controllers, Report, Snapshot, Translator, translate};
use tempfile::TempDir;

/// Our class and a pool for it.
pub(crate) const BASE: &str = "
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ours}
spec: {controller: ingress-agent.dev/xdp}
---
apiVersion: ingress-agent.dev/v1alpha1
kind: VipPool
metadata: {name: edge}
spec: {addresses: [192.0.2.10, '2001:db8::10'], classes: [ours]}
";

/// ingress-nginx's class.
pub(crate) const NGINX: &str = "---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: k8s.io/ingress-nginx}
";

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// One reading of a folder.
pub(crate) fn read(dir: &Path) -> Snapshot {
    file::read(dir, &Arc::from("node-a")).unwrap()
}

/// What the files mean.
pub(crate) fn model_of(files: &[(&str, &str)]) -> (Model, Report) {
    translate(&read(folder(files).path()))
}

/// What `text`, beside [`BASE`], means.
pub(crate) fn model(text: &str) -> (Model, Report) {
    model_of(&[("base.yaml", BASE), ("test.yaml", text)])
}

/// What `text` means beside [`NGINX`] and a pool for it where objects of ingress-nginx are taken over.
pub(crate) fn taken_over(text: &str) -> (Model, Report) {
    let pool = BASE.replace("[ours]", "[nginx]");
    // Without our class, which the pool does not serve.
    let (_, pool) = pool.split_once("---").expect("a pool");
    let base = NGINX.to_owned() + "---" + pool;
    let folder = folder(&[("base.yaml", &base), ("test.yaml", text)]);
    Translator::new(Controllers::WithIngressNginx).translate(&read(folder.path()))
}

/// The site behind the first listener.
pub(crate) fn site(model: &Model) -> &Site {
    &model.listeners.first().expect("the model has a listener").site
}

/// The listener at an address and port.
pub(crate) fn listener<'a>(model: &'a Model, address: &str, port: u16) -> Option<&'a Listener> {
    let address: std::net::IpAddr = address.parse().unwrap();
    model
        .listeners
        .iter()
        .find(|l| l.vip.address == address && l.vip.port.get() == port)
}

/// A host's routes, best first, as `KIND PATH -> SERVICE` or `KIND PATH -> refused`; none: no such host.
pub(crate) fn routes(site: &Site, host: &str) -> Option<Vec<String>> {
    let host = if host == "*" {
        Host::Any
    } else {
        Host::parse(host).unwrap()
    };
    let routes = &site.hosts.get(&host)?.routes;
    Some(routes.iter().map(|route| describe(route)).collect())
}

/// The policies of a host's route, by its path.
pub(crate) fn policies<'a>(model: &'a Model, host: &str, path: &str) -> &'a Policies {
    let host = if host == "*" {
        Host::Any
    } else {
        Host::parse(host).unwrap()
    };
    let routes = &site(model).hosts.get(&host).unwrap().routes;
    &routes
        .iter()
        .find(|route| route.matches.path.path() == path)
        .unwrap()
        .policies
}

pub(crate) fn describe(route: &Route) -> String {
    let path = &route.matches.path;
    format!("{} {} -> {}", path.path_type(), path.path(), target(route))
}

pub(crate) fn target(route: &Route) -> String {
    match &route.action {
        Action::Forward(backend) => backend.id.service.to_string(),
        Action::Refuse => "refused".to_owned(),
    }
}

/// The causes of a report, with the objects that have them.
pub(crate) fn causes(report: &Report) -> Vec<String> {
    let cause = |f: &ingress_agent::translate::Finding| {
        format!("{}: {} {}", f.object, f.fault.verdict, f.fault.cause)
    };
    report.findings.iter().map(cause).collect()
}

/// An Ingress of our class with one rule, in JSON, which is YAML.
pub(crate) fn ingress(name: &str, host: &str, paths: &[(&str, &str, &str)]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|(kind, path, service)| {
            format!("{{pathType: {kind}, path: '{path}', backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}")
        })
        .collect();
    let host = if host == "*" {
        String::new()
    } else {
        format!("host: '{host}', ")
    };
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  ingressClassName: ours\n  \
         rules: [{{{host}http: {{paths: [{}]}}}}]\n",
        paths.join(", ")
    )
}

/// A Service with port 80 and a ready endpoint.
pub(crate) fn service(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80, targetPort: 8080}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-x, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: '', port: 8080, protocol: TCP}}]\nendpoints: [{{addresses: [10.1.0.1], conditions: {{ready: true}}}}]\n"
    )
}

/// All of these, one after another.
pub(crate) fn services(names: &[&str]) -> String {
    names.iter().map(|name| service(name)).collect()
}

/// An Ingress with annotations, each `NAME: 'VALUE'`.
pub(crate) fn annotated(name: &str, host: &str, paths: &[(&str, &str, &str)], annotations: &str) -> String {
    ingress(name, host, paths).replace(
        &format!("{{name: {name}}}"),
        &format!("{{name: {name}, annotations: {{{annotations}}}}}"),
    )
}

/// The objects in a namespace.
pub(crate) fn within(namespace: &str, text: &str) -> String {
    text.replace("metadata: {", &format!("metadata: {{namespace: {namespace}, "))
}

/// The Ingresses with an entry for these hosts, without Secret.
pub(crate) fn with_tls(text: &str, hosts: &str) -> String {
    text.replace(
        "ingressClassName: ours",
        &format!("ingressClassName: ours\n  tls: [{{hosts: [{hosts}]}}]"),
    )
}

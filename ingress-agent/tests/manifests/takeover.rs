//! Manifests of a cluster that ran ingress-nginx, served as they are.

use crate::folder::{annotated, causes, ingress, services, with_tls};
use crate::world::World;

/// What cert-manager makes for one challenge (`pkg/issuer/acme/http`: `ingress.go`, `service.go`) beside its pod.
/// `class`: what the issuer's `solvers[].http01.ingress` has it write of the class, in annotations and in `spec`.
fn solver(class: (&str, &str)) -> String {
    let (annotation, field) = class;
    let labels = "{acme.cert-manager.io/http-domain: '2064194871', acme.cert-manager.io/http-token: '1164838574', \
                  acme.cert-manager.io/http01-solver: 'true'}";
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: cm-acme-http-solver-8xq2v
  generateName: cm-acme-http-solver-
  creationTimestamp: '2026-03-02T10:00:00Z'
  labels: {labels}
  annotations:
    nginx.ingress.kubernetes.io/whitelist-source-range: 0.0.0.0/0,::/0
    {annotation}
  ownerReferences:
  - {{apiVersion: acme.cert-manager.io/v1, kind: Challenge, name: a-tls-1-1, uid: x, controller: true, blockOwnerDeletion: true}}
spec:
  {field}
  rules:
  - host: a.test
    http:
      paths:
      - path: /.well-known/acme-challenge/TOKEN
        pathType: ImplementationSpecific
        backend: {{service: {{name: solver, port: {{number: 8089}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: solver, generateName: cm-acme-http-solver-, labels: {labels}, annotations: {{auth.istio.io/8089: NONE}}}}
spec:
  type: NodePort
  ports: [{{name: http, port: 8089, targetPort: 8089}}]
  selector: {labels}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: solver-x, labels: {{kubernetes.io/service-name: solver}}}}
addressType: IPv4
ports: [{{name: http, port: 8089, protocol: TCP}}]
endpoints: [{{addresses: [10.1.0.1], conditions: {{ready: true}}}}]
"
    )
}

/// The Ingress that waits for its certificate.
fn waiting() -> String {
    let web = annotated(
        "web",
        "a.test",
        &[("Prefix", "/", "s")],
        "cert-manager.io/cluster-issuer: letsencrypt",
    );
    let waiting = with_tls(&web, "a.test").replace("hosts: [a.test]", "hosts: [a.test], secretName: a-tls");
    waiting.replace("ours", "nginx") + &services(&["s"])
}

#[test]
fn the_solver_of_cert_manager_answers_over_http_beside_the_ingress_that_waits() {
    const CHALLENGE: &str = "/.well-known/acme-challenge/TOKEN";
    let mut world = World::taking_over(&waiting());
    // The class by `ingressClassName` and by `class`, the older way.
    for class in [
        ("", "ingressClassName: nginx"),
        ("kubernetes.io/ingress.class: nginx", ""),
    ] {
        world.edit(&waiting());
        world.assert_answers(&[("a.test", CHALLENGE, "308")]);
        world.edit(&(waiting() + &solver(class)));
        assert!(
            !causes(&world.report).iter().any(|cause| cause.contains("solver")),
            "{:?}",
            world.report
        );
        let solver = "solver 10.1.0.1:8089";
        world.assert_answers(&[
            ("a.test", CHALLENGE, solver),
            ("A.test:80", CHALLENGE, solver),
            ("a.test", "/.well-known/acme-challenge/another", "308"),
            ("a.test", "/", "308"),
            ("b.test", CHALLENGE, "404"),
        ]);
        let reply = world.get("a.test", "/");
        assert_eq!(reply.field("location"), Some("https://a.test"));
    }
}

#[test]
fn implementation_specific_is_a_string_prefix() {
    let paths = [
        ("ImplementationSpecific", "/foo", "foo"),
        ("ImplementationSpecific", "/food", "food"),
        ("ImplementationSpecific", "/bar/", "bar"),
        ("Prefix", "/foo", "prefix"),
        ("Exact", "/foo/exact", "exact"),
    ];
    let manifest = ingress("web", "a.test", &paths).replace("ours", "nginx")
        + &services(&["foo", "food", "bar", "prefix", "exact"]);
    World::taking_over(&manifest).assert_answers(&[
        ("a.test", "/foo", "prefix"),
        ("a.test", "/foo/", "prefix"),
        ("a.test", "/foo/x", "prefix"),
        ("a.test", "/foo/exact", "exact"),
        ("a.test", "/foo/exactly", "prefix"),
        ("a.test", "/foobar", "foo"),
        ("a.test", "/foobar/x", "foo"),
        ("a.test", "/food", "food"),
        ("a.test", "/foodie", "food"),
        ("a.test", "/foo.html", "foo"),
        ("a.test", "/bar/", "bar"),
        ("a.test", "/bar/x", "bar"),
        // In another spelling of the same path.
        ("a.test", "/x/../%66oobar", "foo"),
        ("a.test", "/fo", "404"),
        ("a.test", "/Foobar", "404"),
        ("a.test", "/bar", "404"),
    ]);
}

#[test]
fn the_redirect_to_https_is_that_of_ingress_nginx() {
    let plain = with_tls(
        &ingress("web", "a.test", &[("ImplementationSpecific", "/", "s")]),
        "a.test",
    );
    let kept = annotated(
        "kept",
        "a.test",
        &[("ImplementationSpecific", "/kept", "s")],
        "nginx.ingress.kubernetes.io/preserve-trailing-slash: 'true'",
    );
    let world = World::taking_over(&((plain + &kept).replace("ours", "nginx") + &services(&["s"])));
    for (path, location) in [
        ("/", "https://a.test"),
        ("/x/", "https://a.test/x"),
        ("/x?y=/", "https://a.test/x?y="),
        ("/kept/", "https://a.test/kept/"),
        ("/keptlong", "https://a.test/keptlong"),
    ] {
        let reply = world.get("a.test", path);
        assert_eq!(
            (reply.status, reply.field("location")),
            (308, Some(location)),
            "{path}"
        );
    }
}

//! An address that the leader gives out and that somebody has put among a Service's endpoints: K8-6.

use ingress_agent::model::Action;
use ingress_agent::translate::{Snapshot, translate};
use tokio::task::JoinSet;

use crate::cluster::ingress;
use crate::definition::define;
use crate::pools::{Allocator, World, causes, class, eventually, pool, threads};

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [192.0.2.1]}, {addresses: [192.0.2.2]}, {addresses: [10.2.0.11]}]
";

/// The addresses that the one route's requests go to.
fn called(snapshot: &Snapshot) -> Vec<String> {
    let (model, _) = translate(snapshot);
    let sites = model.listeners.iter().map(|listener| &listener.site);
    let routes = sites
        .flat_map(|site| site.hosts.values())
        .flat_map(|host| &host.routes);
    let mut called = Vec::new();
    for route in routes {
        if let Action::Forward(backend) = &route.action {
            called.extend(
                backend
                    .endpoints
                    .iter()
                    .map(|endpoint| endpoint.address.ip().to_string()),
            );
        }
    }
    called.sort();
    called.dedup();
    called
}

#[test]
fn a_vip_of_ours_is_no_endpoint_from_the_moment_it_is_one() {
    let world = World::start();
    define(&world.plane);
    world.kubectl(&["create", "namespace", "ours"]);
    world.apply(&(pool("edge", "192.0.2.1") + &class("xdp")));
    world.apply(SERVICE);
    world.apply(&ingress("shop", "shop.test", "shop"));
    let runtime = threads();
    let mut tasks = JoinSet::new();
    let node = runtime.block_on(world.watch("node", &mut tasks));
    let _leader = Allocator::start(&runtime, &world, "leader", "ours");
    let seen = eventually(&runtime, &node, "pods are called", |snapshot| {
        !called(snapshot).is_empty()
    });
    assert_eq!(called(&seen), ["10.2.0.11", "192.0.2.2"]);
    assert_eq!(causes(&seen), ["Ingress default/shop: endpoint-vip"]);

    // Another class gets the second one: it is no class of the Ingress's, and a loop all the same.
    world.apply(&(pool("edge", "192.0.2.1, 192.0.2.2") + &class("other")));
    eventually(&runtime, &node, "only the pod is called", |snapshot| {
        called(snapshot) == ["10.2.0.11"]
    });
    world.kubectl(&["delete", "ingressclass", "other"]);
    eventually(&runtime, &node, "no VIP any more", |snapshot| {
        called(snapshot) == ["10.2.0.11", "192.0.2.2"]
    });
}

//! Addresses of ours that somebody has put among a Service's endpoints: K8-6.

use ingress_agent::model::Action;
use ingress_agent::translate::{Snapshot, translate};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, ingress, service};
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

/// An agent without XDP at every address of its machine: without the refusal it would call itself until nothing is left.
#[test]
fn where_an_agent_listens_is_no_endpoint() {
    let cluster = Cluster::start();
    let own = ["address", "add", "10.2.0.254/24", "dev", "pods"];
    cluster.network().output("ip", &own).unwrap();
    cluster.apply(&service("loop", "10.2.0.254").replace("8080", "8081"));
    cluster.apply(&ingress("loop", "loop.test", "loop"));
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let agent = cluster.agent_with("agent", &["--listen", "127.0.0.1:8080,0.0.0.0:8081"]);
    assert_eq!(cluster.get("loop.test", "/").0, "503");
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    let log = agent.log();
    assert!(
        log.contains("the endpoint 10.2.0.254:8081, which is where a node's own agent listens"),
        "{log}"
    );
}

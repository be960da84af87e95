//! Pods that come and go under load.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use serde_json::json;
use xtask::pod_runner::Image;

use crate::cluster::{Cluster, deployment, ingress};
use crate::ledger::{Book, Load, Pod, Running, Target};

/// Requests a second of each load.
const RATE: f64 = 150.0;
const ROLLS: usize = 20;

/// What the Pods of these tests run. It knows no SIGTERM: that ends it at once, whatever is under way.
#[test]
#[ignore = "a Pod's program: it serves until it is killed"]
fn pod() {
    let Some(path) = std::env::var_os("LEDGER") else {
        return;
    };
    let book = Book::at(&PathBuf::from(path));
    let _pod = Pod::at(&book, (Ipv4Addr::UNSPECIFIED, 8080).into(), "shop", "shop");
    loop {
        thread::park();
    }
}

fn load(cluster: &Cluster, book: &Arc<Book>, target: Arc<Target>) -> Running {
    let load = Load {
        connections: 8,
        rate: Some(RATE),
        ..Load::at((Ipv4Addr::LOCALHOST, 8080).into())
    };
    let begin = || Ok(load.start(book, &[target]));
    cluster.network().run(begin).unwrap()
}

#[test]
fn a_deployment_rolled_20_times_fails_no_get_and_doubles_no_post() {
    let cluster = Cluster::running_pods([("ledger", Image::test("rolling::pod").unwrap())]);
    let path = cluster.directory("ledger");
    let book = Book::at(&path);
    let environment = format!("env: [{{name: LEDGER, value: {}}}]", path.display());
    let shop = deployment("shop", "ledger", 3, "", "")
        .replace("image: ledger", &format!("image: ledger\n        {environment}"))
        .replace(
            "replicas: 3",
            "replicas: 3\n  strategy: {rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}",
        );
    cluster.apply(&shop);
    cluster.apply(&ingress("shop", "shop.test", "shop"));
    let _agent = cluster.agent("agent");
    let is_rolled = || {
        cluster.kubectl(&["rollout", "status", "deployment/shop", "--timeout", "60s"]);
    };
    is_rolled();
    cluster.eventually("an answer", |cluster| cluster.get("shop.test", "/").0 == "200");

    let gets = load(
        &cluster,
        &book,
        Target::get("shop", "shop.test", "/slow", &["shop"]),
    );
    let posts = load(
        &cluster,
        &book,
        Target::post("shop", "shop.test", "/slow", &["shop"]),
    );
    for roll in 0..ROLLS {
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"roll": roll.to_string()}}}}});
        cluster.kubectl(&["patch", "deployment/shop", "--patch", &patch.to_string()]);
        is_rolled();
    }
    let (gets, posts) = (gets.finish(), posts.finish());
    eprintln!("GET {gets}POST {posts}");
    gets.assert_clean();
    assert_eq!((posts.duplicated, posts.unknown()), (0, 0), "{posts}");
}

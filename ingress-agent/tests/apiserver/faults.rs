//! A network that lies, an API server that refuses, and lists that lack what was there (OP-7, OP-8). History that is
//! gone: `outage.rs`; how often is asked: `src/backoff.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::networking::v1::Ingress;
use rustix::process::Signal;
use serde_json::Value;
use xtask::control_plane::Relay;
use xtask::lab::Process;

use crate::cluster::{Cluster, ingress, ingress_tls, service};
use crate::scale::{all, create, only, statuses, wide};

/// How often is looked at what takes long.
const LOOK: Duration = Duration::from_millis(100);
/// How long an agent may take to start.
const START: Duration = Duration::from_secs(30);

/// OP-7.
#[test]
fn a_silently_dead_connection_is_noticed_within_45_seconds() {
    let cluster = Cluster::start();
    // Asking for the Secret leaves a connection idle, which dies too.
    let certificate = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    cluster.eventually("its certificate", |cluster| {
        cluster.shown("shop.test") == certificate
    });

    relay.silence();
    cluster.apply(&ingress("new", "new.test", "blue"));
    relay.heal();
    let took = cluster.within(
        Duration::from_secs(45),
        LOOK,
        "the change made meanwhile",
        |cluster| {
            assert_eq!(cluster.get_tls("shop.test", "/").0, "200");
            cluster.get("new.test", "/").0 == "200"
        },
    );
    assert!(
        took > Duration::from_secs(5),
        "the connections were not dead: {took:?}"
    );
    assert_eq!(cluster.shown("shop.test"), certificate);
}

/// OP-7: every answer of the API server comes five seconds late.
#[test]
fn a_latency_of_five_seconds_delays_what_is_new_and_nothing_else() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    let latency = Duration::from_secs(5);
    relay.slow(latency);
    // Connections are new, and watches begin anew, before this is told.
    cluster.apply(&ingress("new", "new.test", "blue"));
    let wait = |host: &str| {
        cluster.within(Duration::from_secs(45), LOOK, host, |cluster| {
            assert_eq!(cluster.get("shop.test", "/").0, "200");
            cluster.get(host, "/").0 == "200"
        })
    };
    let took = wait("new.test");

    assert!(took >= latency, "{took:?}");
    // In a watch that goes on; and what its end brings.
    cluster.apply(&ingress("next", "next.test", "blue"));
    wait("next.test");
    std::thread::sleep(Duration::from_secs(26));
    cluster.apply(&ingress("last", "last.test", "blue"));
    wait("last.test");
    for host in ["new.test", "next.test"] {
        assert_eq!(cluster.get(host, "/").0, "200");
    }
}

/// How many objects a page of a list has, and more.
const PAGE_AND_MORE: usize = 2_010;

/// OP-7: the first page of a list comes and the second never does: what it would have had stays, and longer than what
/// a list lacks.
#[test]
fn half_a_list_takes_nothing_away() {
    let mut cluster = Cluster::start();
    create(&cluster, async |client| {
        let one = |number| {
            wide(
                &format!("web-{number}"),
                &format!("host-{number}.test"),
                "red",
                ["/".to_owned()],
            )
        };
        all::<Ingress>(client, (0..PAGE_AND_MORE).map(one)).await;
    });
    let (_proxy, relay, kubeconfig) = cluster.plain_relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    let every = format!("http://host-[0-{}].test/", PAGE_AND_MORE - 1);
    assert_eq!(statuses(&cluster, &every), only("200", PAGE_AND_MORE));

    // What it knows is too old for a watch: it lists.
    agent.signal(Signal::STOP).unwrap();
    relay.refuse_with("continue=", "410 Gone");
    cluster.kubectl(&["annotate", "ingress", "web-0", "note=a"]);
    cluster.plane.compact().unwrap();
    cluster.plane.kill_server().unwrap();
    cluster.plane.start_server().unwrap();
    agent.signal(Signal::CONT).unwrap();
    let refused = Duration::from_secs(60);
    agent
        .wait_for_log("failed to perform initial object list", 0, refused)
        .unwrap();
    // The first page has come.
    cluster.apply(&ingress("web-0", "first.test", "blue"));
    cluster.within(START, LOOK, "the first page", |cluster| {
        cluster.get("first.test", "/").0 == "200"
    });
    std::thread::sleep(Duration::from_secs(32));
    let rest = format!("http://host-[1-{}].test/", PAGE_AND_MORE - 1);
    assert_eq!(statuses(&cluster, &rest), only("200", PAGE_AND_MORE - 1));
    relay.accept();
    relay.cut();
    cluster.apply(&ingress("web-1", "second.test", "blue"));
    cluster.within(Duration::from_secs(45), LOOK, "a whole list", |cluster| {
        cluster.get("second.test", "/").0 == "200"
    });
    cluster.kubectl(&["delete", "ingress", &format!("web-{}", PAGE_AND_MORE - 1)]);
    let last = format!("host-{}.test", PAGE_AND_MORE - 1);
    cluster.within(START, LOOK, "404", |cluster| cluster.get(&last, "/").0 == "404");
}

/// OP-7.
#[test]
fn an_api_server_that_fails_empties_nothing() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (_proxy, relay, kubeconfig) = cluster.plain_relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    relay.refuse("500 Internal Server Error");
    keeps_what_it_knows(&cluster, &agent, || relay.accept());
}

/// Every request of the agent's, once something of another client's is under way: of a level without seats the API
/// server lets one request after the other through.
const NO_SEATS: &str = "\
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: no-seats}
spec: {type: Limited, limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: no-seats}
spec:
  priorityLevelConfiguration: {name: no-seats}
  matchingPrecedence: 2
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: agent, namespace: default}}]
    resourceRules: [{verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*']}]
";

/// The ServiceAccount `agent`, which may do everything.
fn make_account(cluster: &Cluster) {
    cluster.kubectl(&["create", "serviceaccount", "agent"]);
    let rights = ["--clusterrole=cluster-admin", "--serviceaccount=default:agent"];
    cluster.kubectl(&[&["create", "clusterrolebinding", "agent"], &rights[..]].concat());
}

/// OP-7.
#[test]
fn an_api_server_that_says_too_many_requests_empties_nothing() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    make_account(&cluster);
    let (relay, kubeconfig) = cluster.account_relay("agent");
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();

    cluster.apply(NO_SEATS);
    let slow = cluster.slow_request("agent");
    cluster.within(START, LOOK, "429", |cluster| cluster.asks_as("agent") == "429");
    relay.cut();
    keeps_what_it_knows(&cluster, &agent, || {
        assert_eq!(cluster.asks_as("agent"), "429", "all the while");
        drop(slow);
    });
}

/// That an agent that the API server has just begun to refuse serves what it knew, and learns the rest after it.
fn keeps_what_it_knows(cluster: &Cluster, agent: &Process, accept: impl FnOnce()) {
    agent
        .wait_for_log("the API server refuses this", 0, START)
        .unwrap();
    cluster.apply(&ingress("new", "new.test", "blue"));
    assert_eq!(cluster.get("shop.test", "/").0, "200");
    assert_eq!(cluster.get("new.test", "/").0, "404", "it hears of nothing");
    accept();
    cluster.within(START, LOOK, "the new host", |cluster| {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
        cluster.get("new.test", "/").0 == "200"
    });
}

/// OP-7: a hundred agents ask for a list each in half a minute, once the API server has refused them a few.
#[test]
fn lists_that_are_refused_are_asked_for_ever_more_seldom() {
    let cluster = Cluster::audited();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    make_account(&cluster);
    let (_relay, kubeconfig) = cluster.account_relay("agent");
    // Of the ConfigMap, which is read before all else, it is told.
    let kinds = "[services, secrets, ingresses, ingressclasses, endpointslices]";
    cluster.apply(&NO_SEATS.replace("resources: ['*']", &format!("resources: {kinds}")));
    let slow = cluster.slow_request("agent");
    cluster.within(START, LOOK, "429", |cluster| cluster.asks_as("agent") == "429");

    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    let begin = Instant::now();
    agent
        .wait_for_log("the API server refuses this", 0, START)
        .unwrap();
    std::thread::sleep(Duration::from_secs(30).saturating_sub(begin.elapsed()));
    let mut lists = BTreeMap::new();
    for event in cluster.audited_events() {
        let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let is_refused = event.pointer("/responseStatus/code") == Some(&429.into());
        if is_refused && text("/verb") == "list" && text("/userAgent").is_empty() {
            *lists.entry(text("/objectRef/resource").to_owned()).or_insert(0) += 1;
        }
    }
    eprintln!("{lists:?} in {:?}", begin.elapsed());
    assert_eq!(lists.len(), 5, "every kind's: {lists:?}");
    // After 1, 2, 4 and 8 seconds or a little more, and then not for 16.
    assert!(lists.values().all(|count| *count <= 5), "{lists:?}");
    assert_eq!(cluster.asks_as("agent"), "429", "all the while");
    drop(slow);
    agent
        .wait_for_log("serving without XDP", 0, Duration::from_secs(45))
        .unwrap();
    assert_eq!(cluster.get("shop.test", "/").0, "200");
}

/// OP-7: how long the API server is silent is told of each kind.
#[test]
fn a_kind_that_is_refused_shows_how_old_it_is() {
    let cluster = Cluster::start();
    make_account(&cluster);
    let (relay, kubeconfig) = cluster.account_relay("agent");
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    let heard = |kind: &str| {
        let name = format!("ingress_agent_source_answered_timestamp_seconds{{kind=\"{kind}\"}}");
        cluster.metric("agent", &name)
    };
    assert!(
        ["Ingress", "Service", "Secret"]
            .iter()
            .all(|kind| heard(kind) > 0)
    );
    // Everything but Ingresses from now on.
    cluster.kubectl(&["delete", "clusterrolebinding", "agent"]);
    let resources =
        "--resource=services,secrets,endpointslices.discovery.k8s.io,ingressclasses.networking.k8s.io";
    cluster.kubectl(&[
        "create",
        "clusterrole",
        "less",
        "--verb=get,list,watch",
        resources,
    ]);
    let less = ["--clusterrole=less", "--serviceaccount=default:agent"];
    cluster.kubectl(&[&["create", "clusterrolebinding", "less"], &less[..]].concat());
    relay.cut();
    agent
        .wait_for_log("the API server refuses this", 0, START)
        .unwrap();
    assert!(agent.log().contains("code=403"), "{}", agent.log());
    let before = ["Ingress", "Service"].map(heard);
    // A watch begins anew after 25 s.
    cluster.within(Duration::from_secs(40), LOOK, "an answer about Services", |_| {
        heard("Service") >= before[1] + 20
    });
    assert_eq!(heard("Ingress"), before[0]);
    let status = cluster.status("agent");
    let answered = status.lines().find(|line| line.starts_with("answered")).unwrap();
    assert!(
        answered.contains("Ingress 2") || answered.contains("Ingress 3"),
        "{answered}"
    );
}

/// OP-6.
#[test]
fn what_is_known_is_served_while_the_api_server_is_stopped() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let agent = cluster.agent("agent");
    let server = cluster.plane.server().unwrap();
    server.signal(Signal::STOP).unwrap();
    agent
        .wait_for_log("the API server does not answer", 0, Duration::from_secs(45))
        .unwrap();
    for _ in 0..20 {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
    }
    server.signal(Signal::CONT).unwrap();
    cluster.apply(&ingress("new", "new.test", "blue"));
    cluster.within(Duration::from_secs(45), LOOK, "the new host", |cluster| {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
        cluster.get("new.test", "/").0 == "200"
    });
}

/// A Secret that is deleted while nobody hears it is served for 30 seconds more, as all else (OP-8).
#[test]
fn a_secret_that_a_new_list_lacks_is_served_for_30_seconds_more() {
    let mut cluster = Cluster::start();
    let certificate = cluster.pair("default", "pair", "shop.test");
    cluster.apply(&ingress_tls("shop", "shop.test", "red", "pair"));
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    assert_eq!(cluster.shown("shop.test"), certificate);
    let begin = unheard(&mut cluster, &agent, &relay, |cluster| {
        cluster.kubectl(&["delete", "secret", "pair"]);
        cluster.apply(&ingress("new", "new.test", "blue"));
    });
    assert_eq!(cluster.shown("shop.test"), certificate);
    cluster.within(Duration::from_secs(60), LOOK, "no longer held", |cluster| {
        cluster.shown("shop.test") != certificate
    });
    let held = begin.elapsed();
    assert!(held >= Duration::from_secs(30), "held for {held:?} only");
}

/// An agent misses what changes: the API server that it finds then remembers no history, and it lists. The changes make
/// the host `new.test`. When it could list.
fn unheard(cluster: &mut Cluster, agent: &Process, relay: &Relay, change: impl FnOnce(&Cluster)) -> Instant {
    agent.signal(Signal::STOP).unwrap();
    relay.cut();
    change(cluster);
    cluster.plane.compact().unwrap();
    cluster.plane.kill_server().unwrap();
    cluster.plane.start_server().unwrap();
    let begin = Instant::now();
    agent.signal(Signal::CONT).unwrap();
    cluster.eventually("the new host", |cluster| cluster.get("new.test", "/").0 == "200");
    begin
}

/// OP-8: of what was there everything is gone, Ingresses and endpoints, and nobody has said that it was deleted.
#[test]
fn what_a_new_list_lacks_is_served_for_30_seconds_more() {
    let mut cluster = Cluster::start();
    for name in ["shop", "other"] {
        cluster.apply(&ingress(name, &format!("{name}.test"), "red"));
    }
    cluster.apply(&ingress("bare", "bare.test", "blue"));
    let (relay, kubeconfig) = cluster.relay();
    let agent = cluster.start_agent_as("agent", &kubeconfig, &[]);
    agent.wait_for_log("serving without XDP", 0, START).unwrap();
    let begin = unheard(&mut cluster, &agent, &relay, |cluster| {
        cluster.kubectl(&["delete", "ingress", "shop", "other"]);
        cluster.kubectl(&["delete", "endpointslices", "--all"]);
        cluster.apply(&service("green", "10.2.0.12"));
        cluster.apply(&ingress("new", "new.test", "green"));
    });
    for host in ["shop.test", "other.test", "bare.test"] {
        assert_eq!(cluster.get(host, "/").0, "200");
    }

    // What is told to be deleted is not held.
    cluster.kubectl(&["delete", "ingress", "new"]);
    cluster.eventually("404", |cluster| cluster.get("new.test", "/").0 == "404");
    assert_eq!(cluster.get("shop.test", "/").0, "200");

    cluster.within(Duration::from_secs(60), LOOK, "no longer held", |cluster| {
        let status = |host| cluster.get(host, "/").0;
        status("shop.test") == "404" && status("other.test") == "404" && status("bare.test") == "503"
    });
    let held = begin.elapsed();
    assert!(held >= Duration::from_secs(30), "held for {held:?} only");
}

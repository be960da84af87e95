//! The agents' own ConfigMap.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use xtask::lab::Process;

use crate::cluster::{Cluster, ingress};

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the ConfigMap, or gives it these keys and no others.
fn configure(cluster: &Cluster, keys: &[(&str, &str)]) {
    let data: serde_json::Map<_, _> = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let map = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ingress-agent"},
        "data": data,
    });
    cluster.apply(&map.to_string());
}

fn keys(cluster: &Cluster, outcome: &str) -> u64 {
    let name = format!("ingress_agent_config_keys{{outcome=\"{outcome}\"}}");
    cluster.metric("agent", &name)
}

fn run_dir(cluster: &Cluster, agent: &str) -> PathBuf {
    cluster.directory(&format!("{agent}-run"))
}

/// What `ingress-agent status` says.
fn status(run: &PathBuf) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingress-agent"));
    let output = command.args(["status", "--run-dir"]).arg(run).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Asks the shop until the agent's log has a text.
fn is_logged(cluster: &Cluster, agent: &Process, text: &str) {
    cluster.eventually(text, |cluster| {
        assert_eq!(cluster.get("shop.test", "/").0, "200");
        agent.log().contains(text)
    });
}

/// A connection that is held open.
fn hold(cluster: &Cluster) -> Process {
    let mut command = cluster.network().command("bash");
    command.args([
        "-c",
        "exec 3<>/dev/tcp/127.0.0.1/8080 && echo held && exec sleep 60",
    ]);
    let held = cluster.start_program("held", &mut command);
    held.wait_for_log("held", 0, PATIENCE).unwrap();
    held
}

#[test]
fn its_keys_take_effect_at_the_start_and_while_it_runs() {
    let cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    configure(
        &cluster,
        &[
            ("access-log-format", "first $status"),
            ("announce-table", "200"),
            ("drain-timeout", "100s"),
            ("max-conections", "5"),
            ("max-handshakes", "many"),
        ],
    );
    // With --drain-timeout.
    let agent = cluster.agent("agent");
    is_logged(&cluster, &agent, "first 200");
    for words in [
        "key drain-timeout: the flag --drain-timeout is given, and wins",
        "key max-conections: there is no such key; did you mean max-connections?",
        "key max-handshakes: invalid value 'many' for '--max-handshakes <N>': expected a number",
    ] {
        assert!(agent.log().contains(words), "{words}: {}", agent.log());
    }
    let outcomes = ["in_effect", "overruled", "refused", "waiting"];
    let counts = |cluster: &Cluster| outcomes.map(|outcome| keys(cluster, outcome));
    assert_eq!(counts(&cluster), [2, 1, 2, 0]);

    // What can be live is, and what cannot be is told.
    let snapshots = cluster.metric("agent", "ingress_agent_snapshots_total");
    cluster.kubectl(&["label", "configmap", "ingress-agent", "of=ours"]);
    configure(
        &cluster,
        &[
            ("access-log-format", "second $http_user_agent $status"),
            ("announce-table", "201"),
            ("log-format", "json"),
            ("max-connections-per-source", "1"),
        ],
    );
    is_logged(&cluster, &agent, "second curl");
    let told = "key announce-table: it is another than when this agent started";
    agent.wait_for_log(told, 0, PATIENCE).unwrap();
    assert_eq!(counts(&cluster), [3, 0, 0, 1]);
    let said = status(&run_dir(&cluster, "agent"));
    let expected = "settings  ConfigMap default/ingress-agent is read; in effect: access-log-format, log-format, \
                    max-connections-per-source\n          key announce-table: ";
    assert!(said.contains(expected), "{said}");
    let held = hold(&cluster);
    assert_eq!(cluster.get("shop.test", "/").0, "000", "of a second connection");

    // Without it the defaults are in force again, also for who is there.
    cluster.kubectl(&["delete", "configmap", "ingress-agent"]);
    cluster.eventually("the default", |cluster| cluster.get("shop.test", "/").0 == "200");
    drop(held);
    is_logged(&cluster, &agent, "\"GET / HTTP/1.1\" 200");
    let said = status(&run_dir(&cluster, "agent"));
    assert!(
        said.contains("ConfigMap default/ingress-agent is not there; in effect: -\n"),
        "{said}"
    );
    assert_eq!(
        cluster.metric("agent", "ingress_agent_snapshots_total"),
        snapshots
    );
    // The start, the change and the deletion; the label was none.
    let log = agent.log();
    let changes = log.lines().filter(|line| line.contains("in_effect")).count();
    assert_eq!(changes, 3, "{log}");
}

#[test]
fn a_restart_takes_what_waited_and_in_an_outage_what_was_saved() {
    let mut cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    configure(
        &cluster,
        &[("announce-table", "200"), ("access-log-format", "saved $status")],
    );
    let state = cluster.directory("state");
    let start = |cluster: &Cluster, name: &str| {
        let agent = cluster.start_agent_in(name, &run_dir(cluster, name), &state, &[]);
        agent.wait_for_log("serving without XDP", 0, PATIENCE).unwrap();
        agent
    };
    let agent = start(&cluster, "first");
    configure(
        &cluster,
        &[("announce-table", "201"), ("access-log-format", "saved $status")],
    );
    agent.wait_for_log("key announce-table", 0, PATIENCE).unwrap();
    let saved = || fs::read(state.join("config")).is_ok_and(|file| file.ends_with(b"\"201\"}"));
    cluster.eventually("the ConfigMap saved", |_| saved());
    cluster.eventually("a snapshot", |_| state.join("snapshot").exists());
    drop(agent);

    let agent = start(&cluster, "second");
    is_logged(&cluster, &agent, "saved 200");
    assert!(!agent.log().contains("key announce-table"), "{}", agent.log());
    drop(agent);

    cluster.plane.kill_server().unwrap();
    let agent = start(&cluster, "third");
    is_logged(&cluster, &agent, "saved 200");
    let said = status(&run_dir(&cluster, "third"));
    assert!(
        said.contains("ConfigMap default/ingress-agent is as a former agent read it; in effect: acc"),
        "{said}"
    );
    cluster.plane.start_server().unwrap();
    cluster.eventually("its ConfigMap", |cluster| {
        status(&run_dir(cluster, "third")).contains("default/ingress-agent is read; in effect: acc")
    });
}

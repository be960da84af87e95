//! An agent that is killed, and starts again while the API server is away (OP-6).

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::getpriority_process;
use xtask::lab::Process;

use crate::cluster::{Cluster, ingress};

const PATIENCE: Duration = Duration::from_secs(30);
/// On a machine with nothing else to do it takes less than a second, of which the agent needs a tenth.
const AT_ONCE: Duration = Duration::from_secs(10);

fn serves_at_once(agent: &Process, begin: Instant) {
    agent.wait_for_log("serving without XDP", 0, PATIENCE).unwrap();
    let took = begin.elapsed();
    eprintln!("serving {took:?} after the start");
    assert!(took < AT_ONCE, "{took:?}");
    assert!(
        agent.log().contains("what was saved is served"),
        "{}",
        agent.log()
    );
}

/// How far its control thread gives way to other threads, by proc_pid_stat(5).
fn niceness(agent: &Process) -> i32 {
    let text = fs::read_to_string(format!("/proc/{}/stat", agent.id())).unwrap();
    // After the name, which may have spaces, the third field is the first.
    let (_, fields) = text.rsplit_once(") ").unwrap();
    fields.split(' ').nth(19 - 3).unwrap().parse().unwrap()
}

/// What the agent says to a start that finds nothing to serve.
fn refuses(agent: &Process, words: &str) {
    agent.wait_for_log(words, 0, PATIENCE).unwrap();
    agent
        .wait_for_log("the API server does not answer", 0, PATIENCE)
        .unwrap();
    assert!(!agent.log().contains("serving"), "{}", agent.log());
}

#[test]
fn an_agent_that_restarts_serves_while_the_api_server_is_away() {
    let mut cluster = Cluster::start();
    let pair = cluster.pair("default", "pair", "shop.test");
    let tls = "\x20 tls: [{hosts: [shop.test], secretName: pair}]\n";
    cluster.apply(&(ingress("shop", "shop.test", "red") + tls));
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let (memory, disk) = (memory.path(), cluster.directory("run"));
    let state = cluster.directory("state");
    let saved = state.join("snapshot");
    let start = |cluster: &Cluster, name, run: &Path| cluster.start_agent_in(name, run, &state, &[]);

    let agent = start(&cluster, "first", memory);
    agent.wait_for_log("serving without XDP", 0, PATIENCE).unwrap();
    cluster.eventually("a snapshot", |_| saved.exists());
    let first = fs::read(&saved).unwrap();
    cluster.apply(&ingress("late", "late.test", "blue"));
    cluster.eventually("another snapshot", |_| fs::read(&saved).unwrap() != first);
    // SIGKILL, to both.
    drop(agent);
    cluster.plane.kill_server().unwrap();

    let begin = Instant::now();
    let agent = start(&cluster, "second", memory);
    serves_at_once(&agent, begin);
    assert_eq!(cluster.get("late.test", "/").0, "200");
    assert_eq!(cluster.get_tls("shop.test", "/").0, "200");
    assert_eq!(cluster.shown("shop.test"), pair);
    drop(agent);

    // Without a memory for keys their hosts are refused over TLS, and nothing else is.
    let begin = Instant::now();
    let agent = start(&cluster, "third", &disk);
    serves_at_once(&agent, begin);
    assert!(
        agent.log().contains("the run directory is no tmpfs"),
        "{}",
        agent.log()
    );
    assert!(agent.log().contains("Secret default/pair"), "{}", agent.log());
    assert!(!disk.join("keys").exists());
    assert_eq!(cluster.get("late.test", "/").0, "200");
    assert_eq!(cluster.get_tls("shop.test", "/").0, "000");
    assert_eq!(cluster.shown("shop.test"), "");
    let other = cluster.shown("late.test");
    assert!(!other.is_empty() && other != pair, "the default certificate");
    let why = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(["explain", "https://shop.test:8443/", "--run-dir"])
        .arg(&disk)
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&why.stdout);
    assert!(why.contains("did not outlive the agent's restart"), "{why}");
    cluster.plane.start_server().unwrap();
    cluster.eventually("its key again", |cluster| {
        cluster.get_tls("shop.test", "/").0 == "200"
    });
    assert_eq!(cluster.shown("shop.test"), pair);
}

#[test]
fn what_is_damaged_or_another_clusters_is_ignored_and_told() {
    let mut cluster = Cluster::start();
    cluster.apply(&ingress("shop", "shop.test", "red"));
    let (run, state) = (cluster.directory("run"), cluster.directory("state"));
    let saved = state.join("snapshot");
    let start = |cluster: &Cluster, name, flags: &[&str]| cluster.start_agent_in(name, &run, &state, flags);
    let agent = start(&cluster, "first", &[]);
    cluster.eventually("a snapshot", |_| saved.exists());
    drop(agent);
    cluster.plane.kill_server().unwrap();
    let sound = fs::read(&saved).unwrap();

    let agent = start(&cluster, "others", &["--watch-namespace", "default"]);
    refuses(&agent, "the saved snapshot is ignored");
    assert!(agent.log().contains("of another API server"), "{}", agent.log());
    drop(agent);

    let half = sound.get(..sound.len() / 2).unwrap();
    fs::write(&saved, half).unwrap();
    let agent = start(&cluster, "damaged", &[]);
    refuses(&agent, "the saved snapshot is ignored");
    assert!(agent.log().contains("damaged"), "{}", agent.log());
    let own = getpriority_process(None).unwrap();
    assert_eq!(niceness(&agent), own, "there are no requests to give way to");
    // And it serves once it can ask.
    cluster.plane.start_server().unwrap();
    agent.wait_for_log("serving without XDP", 0, PATIENCE).unwrap();
    cluster.eventually("it gives way", |_| niceness(&agent) == own + 5);
    cluster.eventually("a sound snapshot", |_| fs::read(&saved).unwrap() == sound);
    assert_eq!(cluster.get("shop.test", "/").0, "200");
}

//! `ingress-agent explain` without a folder: it asks the agent that runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Agent, get};

fn explain(run_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingress-agent"));
    command
        .arg("explain")
        .args(arguments)
        .arg("--run-dir")
        .arg(run_dir);
    command.output().unwrap()
}

fn explained(agent: &Agent, arguments: &[&str]) -> (Option<i32>, String) {
    let output = explain(&agent.path("run"), arguments);
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn edit(agent: &Agent, from: &str, to: &str) {
    let manifest = agent.path("manifests/all.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&manifest, text.replace(from, to)).unwrap();
}

#[test]
fn a_running_agent_answers_from_what_it_serves() {
    let mut agent = Agent::start(&[]);
    let url = format!("http://a.test:{}/x", agent.plain.port());
    let (code, words) = explained(&agent, &[&url]);
    assert_eq!(code, Some(0), "{words}");
    for part in [
        "from --listen",
        "from Ingress test/shop: spec.rules[0].http.paths[0]",
        "Service test/echo, port 80",
        "(well, 0 under way)",
    ] {
        assert!(words.contains(part), "no `{part}` in\n{words}");
    }
    let secure = format!("https://a.test:{}/x", agent.tls.port());
    let (_, json) = explained(&agent, &[&secure, "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let certificate = &json["steps"][1];
    assert_eq!(certificate["object"], "Secret test/pair", "{json:#}");
    assert!(certificate["value"].as_str().unwrap().ends_with("HTTP/2 by ALPN"));
    assert_eq!(json["answer"]["outcome"], "forwarded");

    // What it says follows what it serves.
    edit(&agent, "host: a.test", "host: b.test");
    agent.wait_for("in effect");
    let (code, words) = explained(&agent, &[&url]);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("the nearest is `b.test`"), "{words}");
    let (code, words) = explained(&agent, &[&url, "--header", "Host: b.test"]);
    assert_eq!(code, Some(0), "{words}");
}

#[test]
fn an_endpoint_that_is_out_of_use_is_told_as_such() {
    let mut agent = Agent::start(&[]);
    // Nobody listens at port 9 here.
    edit(
        &agent,
        "ports: [{name: http, port: ",
        "ports: [{name: http, port: 9}] # ",
    );
    agent.wait_for("in effect");
    assert!(agent.exchange(get("/")).starts_with("HTTP/1.1 502 "));
    let url = format!("http://a.test:{}/", agent.plain.port());
    let deadline = Instant::now() + Duration::from_secs(10);
    let (json, told) = loop {
        let (_, json) = explained(&agent, &[&url, "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        let last = json["steps"].as_array().unwrap().last().unwrap().clone();
        if last["ok"] == false || Instant::now() > deadline {
            break (json, last);
        }
    };
    assert_eq!(json["answer"]["status"], 503, "{json:#}");
    assert!(agent.exchange(get("/")).starts_with("HTTP/1.1 503 "));
    assert_eq!(told["step"], "endpoints", "{told:#}");
    assert!(
        told["value"].as_str().unwrap().contains("out of use for"),
        "{told:#}"
    );
    assert!(
        told["why"].as_str().unwrap().contains("every endpoint"),
        "{told:#}"
    );
    assert!(
        told["change"].as_str().unwrap().contains("see why the pods"),
        "{told:#}"
    );
}

#[test]
fn without_an_agent_it_says_how_to_get_an_answer() {
    let none = tempfile::tempdir().unwrap();
    let output = explain(none.path(), &["http://a.test/"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let words = String::from_utf8(output.stderr).unwrap();
    let socket = none.path().join("admin.sock");
    assert!(
        words.contains(&format!("no agent answers at {}", socket.display())),
        "{words}"
    );
    assert!(words.contains("start one") && words.contains("-f DIR"), "{words}");
    // As after a kill: the socket is there, and nobody behind it.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let output = explain(none.path(), &["http://a.test/"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no agent answers at")
    );
}

#[test]
fn the_socket_refuses_what_asks_for_nothing() {
    let agent = Agent::start(&[]);
    for (query, words) in [
        ("", "url=URL"),
        ("?url=a.test", "http://"),
        ("?url=http://a.test/&x=y", "`x`"),
    ] {
        let (status, body) = agent.ask(&format!("/debug/explain{query}"));
        assert_eq!(status, "400", "{body}");
        assert!(body.contains(words), "{query}: {body}");
    }
    let url = format!("http://a.test:{}/", agent.plain.port());
    let (status, body) = agent.ask(&format!("/debug/explain?url={url}&method=GET"));
    assert_eq!(status, "200", "{body}");
    assert!(body.contains("\"outcome\": \"forwarded\""), "{body}");
}

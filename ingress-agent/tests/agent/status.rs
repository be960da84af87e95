//! `ingress-agent status`: what the agent that runs here does.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::process::Agent;

fn status(run_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingress-agent"));
    command
        .arg("status")
        .args(arguments)
        .arg("--run-dir")
        .arg(run_dir);
    command.output().unwrap()
}

#[test]
fn an_agent_of_a_folder_says_where_it_serves() {
    let agent = Agent::start(&[]);
    let output = status(&agent.path("run"), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("agent     serving, version "), "{text}");
    let listener = format!("{}-{}-tcp", agent.plain.ip(), agent.plain.port());
    for part in ["cluster   none", "last in effect ", &listener] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let output = status(&agent.path("run"), &["--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["state"], &json["cluster"]),
        (&"serving".into(), &Value::Null)
    );
    let vips: Vec<_> = json["vips"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vip| &vip["vip"])
        .collect();
    assert!(vips.contains(&&listener.into()), "{json:#}");
    assert!(json["source"]["applied_seconds_ago"].as_u64().unwrap() < 60);
}

#[test]
fn without_an_agent_it_says_how_to_get_one() {
    let none = tempfile::tempdir().unwrap();
    let output = status(none.path(), &[]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("no agent answers at") && words.contains("start one, or name its --run-dir"),
        "{words}"
    );
}

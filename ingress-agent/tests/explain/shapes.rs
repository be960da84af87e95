//! What `--json` prints, letter by letter, and how the commands end: others build on it.

use std::path::Path;
use std::process::{Command, Output};

use crate::folder::{BASE, folder, ingress, service};

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(arguments)
        .arg("-f")
        .arg(folder)
        .env_remove("INGRESS_AGENT_RUN_DIR")
        .output()
        .unwrap()
}

fn web() -> String {
    ingress(
        "web",
        "a.test",
        &[("Prefix", "/", "web"), ("Prefix", "/x", "wep")],
    ) + &service("web")
}

#[test]
fn explain_in_json() {
    let folder = folder(&[("base.yaml", BASE), ("web.yaml", &web())]);
    let output = run(
        &["explain", "http://a.test/x/y", "--client", "192.0.2.1", "--json"],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        r#"{
  "url": "http://a.test/x/y",
  "steps": [
    {
      "step": "vip",
      "ok": true,
      "object": "VipPool edge",
      "field": "spec.addresses",
      "value": "192.0.2.10:80",
      "why": null,
      "change": null
    },
    {
      "step": "host",
      "ok": true,
      "object": "Ingress default/web",
      "field": "spec.rules[0].host",
      "value": "`a.test`, by its own rule",
      "why": null,
      "change": null
    },
    {
      "step": "path",
      "ok": true,
      "object": "Ingress default/web",
      "field": "spec.rules[0].http.paths[1]",
      "value": "`/x/y`, by Prefix `/x`",
      "why": null,
      "change": null
    },
    {
      "step": "policies",
      "ok": true,
      "object": null,
      "field": null,
      "value": "the defaults",
      "why": null,
      "change": null
    },
    {
      "step": "service",
      "ok": false,
      "object": "Ingress default/web",
      "field": "spec.rules[0].http.paths[1].backend",
      "value": "Service default/wep, port 80",
      "why": "found Service default/wep, which does not exist, expected a Service of the Ingress's namespace (nearest: web)",
      "change": "create the Service `wep`, or correct the name"
    }
  ],
  "answer": {
    "outcome": "answered",
    "status": 503,
    "why": "no endpoint is ready"
  }
}
"#
    );
    for (url, answer) in [
        (
            "http://a.test/",
            r#"{"outcome":"forwarded","endpoints":["10.1.0.1:8080"]}"#,
        ),
        (
            "http://a.test:81/",
            r#"{"outcome":"unserved","why":"no VIP serves this; the VIPs are 192.0.2.10:80, 192.0.2.10:443, [2001:db8::10]:80, [2001:db8::10]:443"}"#,
        ),
    ] {
        let output = run(&["explain", url, "--json"], folder.path());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected: serde_json::Value = serde_json::from_str(answer).unwrap();
        assert_eq!(json["answer"], expected, "{url}");
    }
}

#[test]
fn check_in_json() {
    let folder = folder(&[("base.yaml", BASE), ("web.yaml", &web())]);
    let output = run(&["check", "--json"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        r#"{
  "objects": [
    {
      "kind": "Ingress",
      "namespace": "default",
      "name": "web",
      "file": "web.yaml",
      "verdict": "degraded",
      "findings": [
        {
          "cause": "service-missing",
          "field": "spec.rules[0].http.paths[1].backend",
          "found": "Service default/wep, which does not exist",
          "expected": "a Service of the Ingress's namespace",
          "nearest": "web",
          "consequence": "its requests are answered 503",
          "change": "create the Service `wep`, or correct the name"
        }
      ]
    },
    {
      "kind": "IngressClass",
      "namespace": "",
      "name": "ours",
      "file": "base.yaml",
      "verdict": "accepted",
      "findings": []
    },
    {
      "kind": "VipPool",
      "namespace": "",
      "name": "edge",
      "file": "base.yaml",
      "verdict": "accepted",
      "findings": []
    }
  ],
  "notes": []
}
"#
    );
}

/// 0: all is well; 1: something is refused, or not served; 2: there is no verdict.
#[test]
fn how_the_commands_end() {
    let good = folder(&[
        ("base.yaml", BASE),
        (
            "web.yaml",
            &(ingress("web", "a.test", &[("Prefix", "/", "web")]) + &service("web")),
        ),
    ]);
    let degraded = folder(&[("base.yaml", BASE), ("web.yaml", &web())]);
    let refused = folder(&[
        ("base.yaml", BASE),
        ("web.yaml", &web().replace("a.test", "a..test")),
    ]);
    let none = Path::new("/nonexistent");
    let url = "http://a.test/";
    for (arguments, dir, code) in [
        (&["check"][..], good.path(), 0),
        (&["check", "--strict"], good.path(), 0),
        (&["check"], degraded.path(), 0),
        (&["check", "--strict"], degraded.path(), 1),
        (&["check"], refused.path(), 1),
        (&["check"], none, 2),
        (&["check", "--stict"], good.path(), 2),
        (&["check", "more"], good.path(), 2),
        (&["explain", url], good.path(), 0),
        (&["explain", url], refused.path(), 1),
        (&["explain", url], none, 2),
        (&["explain"], good.path(), 2),
        (&["explain", url, "--metod", "GET"], good.path(), 2),
        (&["explian", url], good.path(), 2),
    ] {
        let output = run(arguments, dir);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert_eq!(output.stderr.is_empty(), code < 2, "{arguments:?}: {output:?}");
    }
    let alone = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .arg("check")
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(2));
}

/// The examples of `--help` are command lines.
#[test]
fn the_help_teaches_by_example() {
    for (command, parts) in [
        (
            "check",
            &[
                "-f deploy/examples",
                "--strict --json",
                "kubectl get",
                "not judged",
            ][..],
        ),
        (
            "explain",
            &[
                "--run-dir",
                "-f deploy/examples",
                "--header 'Host:",
                "--http1.1",
                "Exit status 1",
            ],
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
            .args([command, "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for part in parts.iter().chain(&["Examples:"]) {
            assert!(help.contains(part), "{command}: no `{part}` in\n{help}");
        }
    }
}

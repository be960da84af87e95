//! The access log: ingress-nginx's line, JSON, off.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Agent, get};

/// The access log, once it has this many lines.
fn lines(agent: &Agent, count: usize) -> Vec<String> {
    let read = || {
        let text = fs::read_to_string(agent.path("stdout")).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..200 {
        if read().len() >= count {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    read()
}

#[test]
fn the_line_of_ingress_nginx_is_the_default() {
    let agent = Agent::start(&[]);
    let request = get("/x?q=1").replace(
        "\r\n\r\n",
        "\r\nUser-Agent: a\"b\r\nX-Request-Id: 0123456789\r\n\r\n",
    );
    let answer = agent.exchange(&request);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    agent.exchange(get("/").replace("a.test", "b.test"));
    let lines = lines(&agent, 2);
    let [begin, rest] = ["127.0.0.1 - - [", "] \"GET /x?q=1 HTTP/1.1\" 200 "];
    assert!(
        lines[0].starts_with(begin) && lines[0].contains(rest),
        "{lines:?}"
    );
    let (_, rest) = lines[0].split_once("\" 200 ").unwrap();
    let length = body.len();
    let words: Vec<_> = rest.split(' ').collect();
    assert_eq!(
        words[..4],
        [
            &length.to_string(),
            "\"-\"",
            "\"a\\x22b\"",
            &request.len().to_string()
        ]
    );
    assert_eq!(words[5..7], ["[test-echo-80]", "[]"]);
    assert_eq!(words[8], length.to_string());
    assert_eq!(words[10], "200");
    let id = body.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    assert_eq!(Some(words[11]), id);
    assert!(lines[1].ends_with("[-] [] - - - - -"), "{lines:?}");
    assert!(!agent.log().contains("q=1"), "{}", agent.log());
}

#[test]
fn json_and_off() {
    let agent = Agent::start(&["--access-log-format", "json"]);
    agent.exchange(get("/x"));
    let lines = lines(&agent, 1);
    let event: Value = serde_json::from_str(&lines[0]).unwrap();
    for (field, expected) in [
        ("method", "GET"),
        ("path", "/x"),
        ("host", "a.test"),
        ("client", "127.0.0.1"),
        ("namespace", "test"),
        ("ingress", "shop"),
        ("service", "echo"),
        ("service_port", "80"),
        ("end", "complete"),
    ] {
        assert_eq!(event[field], expected, "{field} of {event}");
    }
    assert_eq!(event["status"], 200);

    let mut agent = Agent::start(&["--access-log-format", "off"]);
    agent.exchange(get("/x"));
    assert!(agent.stop());
    assert_eq!(fs::read_to_string(agent.path("stdout")).unwrap(), "");
}

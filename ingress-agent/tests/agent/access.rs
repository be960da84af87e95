//! The access log: ingress-nginx's line, JSON, off.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::admin::metric;
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
    assert!(
        lines[1].ends_with("[upstream-default-backend] [] - - - - -"),
        "{lines:?}"
    );
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

#[test]
fn a_format_tells_the_fields_that_it_names_and_no_client_writes_a_line_of_its_own() {
    let format =
        "<$http_x_a|$sent_http_content_type|$upstream_http_x_pod|$arg_q|$cookie_sid|$http_none|$host>";
    let agent = Agent::start(&["--access-log-format", format]);
    let forged = "x\"> 200\u{85}\\";
    let request = get("/?q=1").replace(
        "\r\n\r\n",
        &format!("\r\nX-A: {forged}\r\nX-A: two\r\nCookie: a=b; sid=7\r\n\r\n"),
    );
    let answer = agent.exchange(&request);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    agent.exchange(get("/").replace("a.test", "b.test"));
    // A line end within a field is no field's, so it never comes to the log.
    let split = agent.exchange(get("/").replace("\r\n\r\n", "\r\nX-A: a\r<forged>\r\n\r\n"));
    assert!(split.starts_with("HTTP/1.1 400 "), "{split}");
    let lines = lines(&agent, 3);
    let forged = r"x\x22> 200\xC2\x85\x5C, two";
    assert_eq!(lines[0], format!("<{forged}|-|red|1|7|-|a.test>"));
    assert_eq!(lines[1], "<-|text/plain; charset=utf-8|-|-|-|-|b.test>");
    assert_eq!(lines[2], "<-|text/plain; charset=utf-8|-|-|-|-|->");
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn a_format_in_json_and_one_that_cannot_be() {
    let format = r#"escape=json {"agent": "$http_user_agent", "status": $status, "who": "$http_x_who"}"#;
    let agent = Agent::start(&["--access-log-format", format]);
    agent.exchange(get("/").replace("\r\n\r\n", "\r\nUser-Agent: a\"b\\\r\n\r\n"));
    let line = &lines(&agent, 1)[0];
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        event,
        serde_json::json!({"agent": "a\"b\\", "status": 200, "who": ""})
    );

    let refused = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(["run", "--source", "kube", "--access-log-format", "$stattus"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("did you mean `$status`?"), "{words}");
}

/// Keeps asking for what no route has, on one connection, until this many answers have come.
fn storm(agent: &Agent, count: usize) {
    let mut stream = TcpStream::connect(agent.plain).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n";
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        for _ in 0..count / 100 {
            writing.write_all(request.repeat(100).as_bytes()).unwrap();
        }
    });
    let (mut answers, mut bytes, mut last) = (0, [0; 65_536], Vec::new());
    while answers < count {
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "closed after {answers}");
        last.extend_from_slice(&bytes[..read]);
        let word = b"HTTP/1.1 404 ";
        answers += last.windows(word.len()).filter(|at| at == word).count();
        // What may be the beginning of the next one.
        last.drain(..last.len().saturating_sub(word.len() - 1));
    }
    writer.join().unwrap();
}

fn dropped(agent: &Agent) -> f64 {
    metric(&agent.ask("/metrics").1, "ingress_agent_log_lines_dropped_total").unwrap()
}

#[test]
fn a_reader_that_does_not_read_delays_nobody_and_lost_lines_are_counted() {
    let (read, write) = io::pipe().unwrap();
    let mut agent = Agent::start_logging(&[], write.into());
    // More than the pipe, a batch and the queue hold.
    storm(&agent, 15_000);
    let lost = dropped(&agent);
    assert!(lost > 0.0 && lost < 15_000.0, "{lost}");
    assert!(agent.exchange(get("/")).starts_with("HTTP/1.1 200 "));
    assert_eq!(agent.ask("/livez").0, "200");
    assert!(agent.stop(), "nor does it keep the agent from ending");
    drop(read);
}

#[test]
fn without_a_standard_output_requests_are_served_and_lines_are_lost() {
    let (read, write) = io::pipe().unwrap();
    drop(read);
    let mut agent = Agent::start_logging(&[], write.into());
    for _ in 0..3 {
        assert!(agent.exchange(get("/")).starts_with("HTTP/1.1 200 "));
    }
    let all_lost = || dropped(&agent) >= 3.0;
    assert!(std::iter::repeat_with(all_lost).take(100).any(|lost| lost));
    assert!(agent.stop());
}

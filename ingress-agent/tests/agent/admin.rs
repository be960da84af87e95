//! What the agent says of itself: state, metrics, dumps.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::openmetrics;
use crate::process::{Agent, get};

/// The value of a metric, its labels included in the name.
pub(crate) fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| line.rsplit_once(' '));
    let mut found = values.filter(|(series, _)| *series == name);
    found.next().map(|(_, value)| value.parse().unwrap())
}

#[test]
fn state_and_dumps() {
    let mut agent = Agent::start(&[]);
    let mode = fs::metadata(agent.path("run/admin.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for path in ["/livez", "/readyz"] {
        assert_eq!(agent.ask(path), ("200".to_owned(), "ok\n".to_owned()), "{path}");
    }
    let (_, model) = agent.ask("/debug/model");
    let model: Value = serde_json::from_str(&model).unwrap();
    let route = &model["sites"][0]["hosts"]["a.test"][0];
    assert_eq!(route["origin"], "Ingress test/shop");
    assert_eq!(route["action"]["service"], "echo");
    assert_eq!(route["action"]["endpoints"][0]["state"], "ready");
    let (_, table) = agent.ask("/debug/table");
    let table: Value = serde_json::from_str(&table).unwrap();
    assert_eq!(table["listeners"][agent.plain.to_string()]["site"], 0);
    let secure = &table["listeners"][agent.tls.to_string()];
    assert_eq!(secure["server_names"], serde_json::json!(["a.test"]));
    let rule = serde_json::json!({"path_type": "Prefix", "path": "/", "origin": "Ingress test/shop"});
    assert_eq!(table["sites"][0]["hosts"]["a.test"][0]["origin"], rule["origin"]);
    let (status, why) = agent.ask("/debug/plan");
    assert!(status == "404" && why.contains("without XDP"), "{why}");
    let (status, there_is) = agent.ask("/");
    assert!(status == "404" && there_is.contains("/metrics"), "{there_is}");
    assert!(agent.stop());
    assert!(!agent.path("run/admin.sock").exists());
}

#[test]
fn probes_ask_the_agent_that_runs_here() {
    let mut agent = Agent::start(&[]);
    let folder = agent.path("");
    let probe = |what: &str, run: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ingress-agent"));
        command.args(["probe", what, "--run-dir"]).arg(folder.join(run));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for what in ["livez", "readyz"] {
        assert_eq!(probe(what, "run"), (Some(0), String::new()), "{what}");
        let (code, why) = probe(what, "elsewhere");
        assert!(
            code == Some(1) && why.contains("no agent answers"),
            "{what}: {why}"
        );
    }
    assert_eq!(probe("health", "run").0, Some(2));
    assert!(agent.stop());
    let (code, why) = probe("readyz", "run");
    assert!(code == Some(1) && why.contains("no agent answers"), "{why}");
}

#[test]
fn no_dump_holds_a_key() {
    let agent = Agent::start(&[]);
    let key = fs::read_to_string(agent.path("key")).unwrap();
    for path in ["/debug/model", "/debug/table", "/metrics"] {
        let (status, dump) = agent.ask(path);
        assert_eq!(status, "200", "{path}");
        assert!(!dump.contains("PRIVATE KEY"), "{path}");
        for line in key.lines().filter(|line| line.len() > 40) {
            assert!(!dump.contains(line), "{path}");
        }
    }
    let (_, model) = agent.ask("/debug/model");
    assert!(model.contains("\"a.test\": \"Secret test/pair\""), "{model}");
}

#[test]
fn every_request_is_counted_once() {
    let agent = Agent::start(&[]);
    for _ in 0..5 {
        agent.exchange(get("/"));
    }
    agent.exchange(get("/").replace("a.test", "b.test"));
    agent.exchange(get("/").replace("GET", "PATCH"));
    agent.exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let secure = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &agent.tls.to_string(),
            "-servername",
            "a.test",
        ])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(secure.status.success());

    // The connections' ends are seen a moment after their answers'.
    let closed = "ingress_agent_connections_open 0\n";
    let read = || agent.ask("/metrics").1;
    let text = std::iter::repeat_with(read)
        .take(100)
        .find(|text| text.contains(closed));
    let text = text.unwrap();
    let route = "namespace=\"test\",ingress=\"shop\",service=\"echo\"";
    let none = "namespace=\"\",ingress=\"\",service=\"\"";
    for (name, expected) in [
        (
            format!("requests_total{{{route},method=\"GET\",status=\"2xx\"}}"),
            5.0,
        ),
        (
            format!("requests_total{{{route},method=\"PATCH\",status=\"2xx\"}}"),
            1.0,
        ),
        (
            format!("requests_total{{{none},method=\"GET\",status=\"4xx\"}}"),
            1.0,
        ),
        (
            format!("requests_total{{{none},method=\"other\",status=\"4xx\"}}"),
            1.0,
        ),
        (format!("request_duration_seconds_count{{{route}}}"), 6.0),
        (
            format!("request_duration_seconds_bucket{{le=\"+Inf\",{route}}}"),
            6.0,
        ),
        ("own_answers_total{status=\"404\"}".to_owned(), 1.0),
        ("own_answers_total{status=\"400\"}".to_owned(), 1.0),
        ("connections_total".to_owned(), 9.0),
        ("connections_open".to_owned(), 0.0),
        ("requests_in_flight".to_owned(), 0.0),
        ("tls_handshakes_total{result=\"ok\"}".to_owned(), 1.0),
        ("snapshots_total".to_owned(), 1.0),
        ("models_total{result=\"applied\"}".to_owned(), 1.0),
        ("findings{verdict=\"refused\"}".to_owned(), 0.0),
        ("translate_duration_seconds_count".to_owned(), 1.0),
        ("listeners".to_owned(), 2.0),
    ] {
        assert_eq!(
            metric(&text, &format!("ingress_agent_{name}")),
            Some(expected),
            "{name} in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_refused_pod_is_a_failure_and_findings_are_told() {
    let mut agent = Agent::start(&[]);
    let manifest = agent.path("manifests/all.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    // Nobody listens at port 9 here.
    let text = text.replace("ports: [{name: http, port: ", "ports: [{name: http, port: 9}] # ");
    let text = text.replace("{path: /, ", "{path: /none, pathType: Prefix, backend: {service: {name: no, port: {number: 80}}}}\n          - {path: /, ");
    fs::write(&manifest, text).unwrap();
    agent.wait_for("in effect");
    assert!(agent.exchange(get("/")).starts_with("HTTP/1.1 502 "));
    let (_, text) = agent.ask("/metrics");
    let failures = "ingress_agent_upstream_failures_total{namespace=\"test\",ingress=\"shop\",service=\"echo\",cause=\"refused\"}";
    assert!(
        metric(&text, failures).is_some_and(|count| count >= 1.0),
        "{text}"
    );
    assert!(
        metric(&text, "ingress_agent_findings{verdict=\"degraded\"}") >= Some(1.0),
        "{text}"
    );
    assert_eq!(metric(&text, "ingress_agent_snapshots_total"), Some(2.0));
}

#[test]
fn a_loopback_address_and_no_other() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let _agent = Agent::start(&["--admin-listen", &address]);
    let live = Command::new("curl")
        .args(["-s", &format!("http://{address}/livez")])
        .output()
        .unwrap();
    assert_eq!(live.stdout, b"ok\n");
    let refused = Command::new(env!("CARGO_BIN_EXE_ingress-agent"))
        .args(["run", "--source", "kube", "--no-xdp", "--listen", "127.0.0.1:1"])
        .args(["--admin-listen", "0.0.0.0:10254"])
        .output()
        .unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(words.contains("expected a loopback address"), "{words}");
}

#[test]
fn metrics_are_openmetrics_to_the_letter_and_tell_of_source_and_process() {
    let agent = Agent::start(&[]);
    agent.exchange(get("/"));
    agent.exchange(get("/").replace("GET", "BREW"));
    let head = Command::new("curl")
        .args(["-sI", "--unix-socket"])
        .arg(agent.path("run/admin.sock"))
        .arg("http://agent/metrics")
        .output()
        .unwrap();
    let head = String::from_utf8(head.stdout).unwrap().to_ascii_lowercase();
    let format = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(format), "{head}");
    let series = openmetrics::parse(&agent.ask("/metrics").1);
    let get = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        *series
            .get(&(name.to_owned(), labels.collect()))
            .unwrap_or_else(|| panic!("no {name} in {series:?}"))
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    for name in [
        "ingress_agent_source_changed_timestamp_seconds",
        "ingress_agent_model_applied_timestamp_seconds",
        "process_start_time_seconds",
    ] {
        let at = get(name, &[]);
        assert!(at > now - 600.0 && at <= now, "{name} {at}");
    }
    for (kind, count) in [
        ("Ingress", 1.0),
        ("Service", 1.0),
        ("Secret", 1.0),
        ("VipPool", 0.0),
    ] {
        assert_eq!(get("ingress_agent_objects", &[("kind", kind)]), count, "{kind}");
    }
    let pair = [("namespace", "test"), ("secret", "pair")];
    assert!(get("ingress_agent_certificate_not_after_seconds", &pair) > now);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(get("ingress_agent_build_info", &version), 1.0);
    assert!(get("process_cpu_seconds_total", &[]) > 0.0);
    assert!(get("process_resident_memory_bytes", &[]) > 1e6);
    let (open, most) = (get("process_open_fds", &[]), get("process_max_fds", &[]));
    assert!(open > 5.0 && open < most, "{open} of {most}");
    let strange = [
        ("namespace", "test"),
        ("ingress", "shop"),
        ("service", "echo"),
        ("method", "other"),
        ("status", "2xx"),
    ];
    assert_eq!(get("ingress_agent_requests_total", &strange), 1.0);
}

#[test]
fn series_of_an_ingress_that_is_gone_go_and_those_of_others_stay() {
    let mut agent = Agent::start(&[]);
    agent.exchange(get("/"));
    let shop = "ingress=\"shop\"";
    assert!(agent.ask("/metrics").1.contains(shop));
    assert!(
        agent.ask("/metrics").1.contains(shop),
        "being asked forgets nothing that lives"
    );
    let manifest = agent.path("manifests/all.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("name: shop", "name: mall")).unwrap();
    agent.wait_for("in effect");
    agent.exchange(get("/"));
    let gone = std::iter::repeat_with(|| agent.ask("/metrics").1)
        .take(100)
        .find(|text| !text.contains(shop));
    let text = gone.expect("the removed Ingress's series are told no more");
    assert!(text.contains("ingress=\"mall\""), "{text}");
}

use std::time::Duration;

use serde_json::json;

use super::*;

fn line(format: &str, fields: serde_json::Value) -> String {
    let serde_json::Value::Object(fields) = fields else {
        unreachable!("the tests give objects");
    };
    let format = format.parse::<AccessFormat>().unwrap();
    let mut fields = Fields(fields);
    if let Some(values) = fields.text(CAPTURED) {
        let told = format!("{}\n{values}", format.captures().mark());
        fields.0.insert(CAPTURED.to_owned(), told.into());
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_260_420);
    let mut line = String::new();
    format.write(&fields, now, &mut line);
    line
}

#[test]
fn a_line_of_ingress_nginx() {
    let fields = json!({
        "client": "192.0.2.1", "method": "GET", "target": "/a?b=\"c", "path": "/a", "protocol": "HTTP/1.1",
        "status": 200, "bytes": 12, "duration_us": 1_234_567, "request_length": 99,
        "user_agent": "x\\y\n", "namespace": "shop", "ingress": "i", "service": "web", "service_port": "80",
        "upstream": "10.0.0.1:8080, 10.0.0.2:8080", "upstream_status": "504, 200",
        "upstream_response_time": "1.000, 0.004", "upstream_response_length": "0, 12", "request_id": "abc",
    });
    assert_eq!(
        line("ingress-nginx", fields),
        "192.0.2.1 - - [21/Nov/2026:11:27:00 +0000] \"GET /a?b=\\x22c HTTP/1.1\" 200 12 \"-\" \"x\\x5Cy\\x0A\" 99 1.234 [shop-web-80] [] 10.0.0.1:8080, 10.0.0.2:8080 0, 12 1.000, 0.004 504, 200 abc"
    );
}

#[test]
fn who_asked_and_what_answered() {
    for (fields, expected) in [
        (
            json!({"status": 200, "route": "Ingress shop/i", "namespace": "shop", "service": "web", "service_port": "80", "user": "ann"}),
            "ann shop-web-80",
        ),
        (json!({"status": 404}), "- upstream-default-backend"),
        // A pod's own.
        (
            json!({"status": 404, "route": "Ingress shop/i", "namespace": "shop", "service": "web", "service_port": "80"}),
            "- shop-web-80",
        ),
        // Refused before there was a host to look up, and by a route.
        (json!({"status": 400}), "- -"),
        (
            json!({"status": 503, "route": "Ingress shop/i", "namespace": "shop"}),
            "- -",
        ),
        (json!({"status": 200, "user": "a\"\n"}), "a\\x22\\x0A -"),
    ] {
        let shown = fields.to_string();
        assert_eq!(
            line("$remote_user $proxy_upstream_name", fields),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn variables_are_checked_when_read() {
    assert_eq!(line("<${status}$status>", json!({"status": 404})), "<404404>");
    assert_eq!(line("off", json!({})), "");
    for (format, word) in [
        ("$stats", "did you mean `$status`?"),
        ("$nothing_like_it", "$cookie_NAME"),
        ("${status", "brace"),
        ("$http_ $status", "header field"),
        ("$arg_", "no variable `$arg_`"),
        ("combined", "ingress-nginx"),
        ("escape=none $status", "of its own"),
        ("escape=xml $status", "default or json"),
    ] {
        let error = format.parse::<AccessFormat>().unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn variables_of_the_client() {
    let fields = json!({
        "target": "/a?x=1&Y=2&x=3&z", "host": "A.test:8443", "listener": "[::1]:443", "end": "complete",
        "captured": "=one, two\n\n=a=b; SID=c=d\n",
    });
    for (format, expected) in [
        ("$http_x_one", "one, two"),
        ("$arg_x $arg_y $arg_z", "1 2 -"),
        ("$args$is_args", "x=1&Y=2&x=3&z?"),
        ("$host $http_host", "a.test A.test:8443"),
        ("$server_addr $server_port", "::1 443"),
        ("$request_completion $msec", "OK 1795260420.000"),
        ("$http_x_one$http_x_two", "one, two-"),
        ("$http_a$http_b$cookie_sid$cookie_none", "one, two-c=d-"),
    ] {
        assert_eq!(line(format, fields.clone()), expected, "{format}");
    }
    assert_eq!(
        line("$host", json!({"host": "[2001:db8::1]:80"})),
        "[2001:db8::1]"
    );
    assert_eq!(line("$host", json!({"host": "[2001:db8::1]"})), "[2001:db8::1]");
}

#[test]
fn nothing_that_a_client_sends_ends_a_line_or_its_quotes() {
    let evil = "a\"b\\c\r\nd\u{85}e\u{2028}f\tg\u{7f}é";
    let text = line("<$http_user_agent>", json!({"user_agent": evil}));
    assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text}");
    assert!(!text.contains('"'), "{text}");
    let text = line(
        r#"escape=json {"agent": "$http_user_agent", "none": "$http_referer"}"#,
        json!({"user_agent": evil}),
    );
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object, json!({"agent": evil, "none": ""}));
    assert!(
        !text.contains(char::is_control) && !text.contains('\u{2028}'),
        "{text}"
    );
}

#[test]
fn a_format_names_what_it_needs_and_nothing_else() {
    let captures = |format: &str| format.parse::<AccessFormat>().unwrap().captures();
    assert!(
        captures("ingress-nginx").is_empty() && captures("json").is_empty() && captures("off").is_empty()
    );
    assert!(captures("ingress-nginx").user() && !captures("json").user());
    let names = captures("$http_x_a $sent_http_x_a $http_x_a $cookie_b $upstream_http_server");
    assert_eq!(names.len(), 4);
    assert!(!names.user() && captures("$remote_user").user());
}

#[test]
fn json_is_one_object() {
    let text = line("json", json!({"path": "/\n", "status": 200}));
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        object,
        json!({"path": "/\n", "status": 200, "time": "2026-11-21T11:27:00.000Z"})
    );
    assert!(!text.contains('\n'));
}

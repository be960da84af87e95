//! The formats, and what each variable means here.

use std::fmt::Write;
use std::str::FromStr;
use std::time::SystemTime;

use super::Fields;

/// `log-format-upstream` of ingress-nginx v1.15, whose lines people's parsers know.
const INGRESS_NGINX: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id"#;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// How access events are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessFormat {
    /// Not at all.
    Off,
    /// One JSON object per line.
    Json,
    /// A text with variables.
    Text(Vec<Piece>),
}

/// A piece of a format.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// As it stands.
    Literal(String),
    /// What a variable stands for.
    Variable(Variable),
}

macro_rules! variables {
    ($($variant:ident = $name:literal;)*) => {
        /// The variables that a format may name.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Variable { $($variant,)* }

        impl Variable {
            const ALL: &[(&str, Self)] = &[$(($name, Self::$variant),)*];
        }
    };
}

variables! {
    RemoteAddr = "remote_addr"; RemoteUser = "remote_user"; TimeLocal = "time_local"; TimeIso = "time_iso8601";
    Request = "request"; Method = "request_method"; RequestUri = "request_uri"; Uri = "uri"; Protocol = "server_protocol";
    Scheme = "scheme"; Host = "host"; Status = "status"; BodyBytesSent = "body_bytes_sent";
    Referer = "http_referer"; UserAgent = "http_user_agent"; RequestLength = "request_length";
    RequestTime = "request_time"; Upstream = "proxy_upstream_name"; Alternative = "proxy_alternative_upstream_name";
    UpstreamAddr = "upstream_addr"; UpstreamLength = "upstream_response_length";
    UpstreamTime = "upstream_response_time"; UpstreamStatus = "upstream_status"; ReqId = "req_id";
    Namespace = "namespace"; Ingress = "ingress_name"; Service = "service_name"; ServicePort = "service_port";
}

impl FromStr for AccessFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "json" => Ok(Self::Json),
            "ingress-nginx" => pieces(INGRESS_NGINX).map(Self::Text),
            _ if text.contains('$') => pieces(text).map(Self::Text),
            _ => Err(
                "expected ingress-nginx, json, off, or a text with variables such as `$remote_addr $status`"
                    .into(),
            ),
        }
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut parts = text.split('$');
    let mut pieces = vec![Piece::Literal(parts.next().unwrap_or_default().to_owned())];
    for part in parts {
        let (name, rest) = match part.strip_prefix('{') {
            Some(braced) => braced
                .split_once('}')
                .ok_or_else(|| format!("`${part}` has no closing brace"))?,
            None => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                part.split_at(part.find(|c| !is_name(c)).unwrap_or(part.len()))
            }
        };
        let known = Variable::ALL.iter().find(|(known, _)| *known == name);
        let (_, variable) = known.ok_or_else(|| {
            let names: Vec<_> = Variable::ALL.iter().map(|(name, _)| format!("${name}")).collect();
            format!("there is no variable `${name}`; there are: {}", names.join(" "))
        })?;
        pieces.push(Piece::Variable(*variable));
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

impl AccessFormat {
    /// Writes an event as a line, without its end.
    pub(super) fn write(&self, fields: &Fields, now: SystemTime, line: &mut String) {
        match self {
            Self::Off => {}
            Self::Json => {
                let mut object = fields.0.clone();
                object.insert(
                    "time".to_owned(),
                    humantime::format_rfc3339_millis(now).to_string().into(),
                );
                // Keys are text, so it always can be written.
                line.push_str(&serde_json::to_string(&object).unwrap_or_default());
            }
            Self::Text(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => line.push_str(text),
                        Piece::Variable(variable) => match value(*variable, fields, now) {
                            Some(value) => escape(&value, line),
                            None => line.push('-'),
                        },
                    }
                }
            }
        }
    }
}

/// What a variable stands for; `None` is written as nginx does, `-`.
fn value(variable: Variable, fields: &Fields, now: SystemTime) -> Option<String> {
    let target = || fields.text("target").filter(|target| target != "-");
    match variable {
        Variable::RemoteAddr => fields.text("client"),
        // The agent authenticates nobody.
        Variable::RemoteUser => None,
        Variable::TimeLocal => Some(time_local(now)),
        Variable::TimeIso => Some(humantime::format_rfc3339_seconds(now).to_string()),
        Variable::Request => {
            let target = target()?;
            Some(format!(
                "{} {target} {}",
                fields.text("method")?,
                fields.text("protocol")?
            ))
        }
        Variable::Method => fields.text("method"),
        Variable::RequestUri => target(),
        Variable::Uri => fields.text("path"),
        Variable::Protocol => fields.text("protocol"),
        Variable::Scheme => fields.text("scheme"),
        Variable::Host => fields.text("host"),
        Variable::Status => fields.text("status"),
        Variable::BodyBytesSent => fields.text("bytes"),
        Variable::Referer => fields.text("referer"),
        Variable::UserAgent => fields.text("user_agent"),
        Variable::RequestLength => fields.text("request_length"),
        Variable::RequestTime => fields.number("duration_us").map(seconds),
        Variable::Upstream => {
            let service = fields.text("service")?;
            Some(format!(
                "{}-{service}-{}",
                fields.text("namespace")?,
                fields.text("service_port")?
            ))
        }
        // There is no canary here.
        Variable::Alternative => Some(String::new()),
        Variable::UpstreamAddr => fields.text("upstream"),
        Variable::UpstreamLength => fields.text("upstream_response_length"),
        Variable::UpstreamTime => fields.text("upstream_response_time"),
        Variable::UpstreamStatus => fields.text("upstream_status"),
        Variable::ReqId => fields.text("request_id"),
        Variable::Namespace => fields.text("namespace"),
        Variable::Ingress => fields.text("ingress"),
        Variable::Service => fields.text("service"),
        Variable::ServicePort => fields.text("service_port"),
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000_000, micros / 1000 % 1000)
}

/// `21/Nov/2026:11:27:00 +0000`: nginx's, in UTC.
fn time_local(now: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(now).to_string();
    let local = || {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (year, date) = date.split_once('-')?;
        let (month, day) = date.split_once('-')?;
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(format!("{day}/{month}/{year}:{time} +0000"))
    };
    local().unwrap_or_default()
}

/// As nginx's `escape=default`.
fn escape(value: &str, line: &mut String) {
    for byte in value.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\' {
            line.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            _ = write!(line, "\\x{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn line(format: &str, fields: serde_json::Value) -> String {
        let serde_json::Value::Object(fields) = fields else {
            unreachable!("the tests give objects");
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_260_420);
        let mut line = String::new();
        format
            .parse::<AccessFormat>()
            .unwrap()
            .write(&Fields(fields), now, &mut line);
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
    fn variables_are_checked_when_read() {
        assert_eq!(line("<${status}$status>", json!({"status": 404})), "<404404>");
        assert_eq!(
            line("$upstream_status", json!({"status": 404, "error": "no route"})),
            "-"
        );
        assert_eq!(line("off", json!({})), "");
        for (format, word) in [
            ("$stats", "$status"),
            ("${status", "brace"),
            ("combined", "ingress-nginx"),
        ] {
            let error = format.parse::<AccessFormat>().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
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
}

//! The variables, under nginx's names, and what each means here.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderName;
use http::header::COOKIE;

use super::{CAPTURED, Fields};
use crate::digest::nearest::nearest;
use crate::proxy::{Captures, Side};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Names that go on with one of the client's or the pod's choice.
const FAMILIES: [&str; 5] = [
    "$http_NAME",
    "$sent_http_NAME",
    "$upstream_http_NAME",
    "$arg_NAME",
    "$cookie_NAME",
];

/// What a format may name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Variable {
    /// Of every event.
    Known(Known),
    /// A header field, by its place among the captured ones.
    Field(usize),
    /// The first argument of this name in the query.
    Argument(String),
    /// A cookie, and the captured field's place.
    Cookie(String, usize),
}

macro_rules! variables {
    ($($variant:ident = $($name:literal)|+;)*) => {
        /// What every event tells.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Known { $($variant,)* }

        impl Known {
            const ALL: &[(&str, Self)] = &[$($(($name, Self::$variant),)+)*];
        }
    };
}

variables! {
    RemoteAddr = "remote_addr" | "the_real_ip"; RemotePort = "remote_port"; RemoteUser = "remote_user";
    ServerAddr = "server_addr"; ServerPort = "server_port";
    TimeLocal = "time_local"; TimeIso = "time_iso8601"; Msec = "msec";
    Request = "request"; Method = "request_method"; RequestUri = "request_uri"; Uri = "uri" | "document_uri";
    Args = "args" | "query_string"; IsArgs = "is_args"; Protocol = "server_protocol"; Scheme = "scheme";
    Host = "host"; HttpHost = "http_host" | "best_http_host"; Status = "status"; BodyBytesSent = "body_bytes_sent";
    Referer = "http_referer"; UserAgent = "http_user_agent"; RequestLength = "request_length";
    RequestTime = "request_time"; Completion = "request_completion";
    Upstream = "proxy_upstream_name"; Alternative = "proxy_alternative_upstream_name";
    UpstreamAddr = "upstream_addr"; UpstreamLength = "upstream_response_length";
    UpstreamTime = "upstream_response_time"; UpstreamStatus = "upstream_status"; ReqId = "req_id" | "request_id";
    Namespace = "namespace"; Ingress = "ingress_name"; Service = "service_name"; ServicePort = "service_port";
}

impl Variable {
    /// By its name; what it needs captured is added to `captures`.
    pub(super) fn new(name: &str, captures: &mut Captures) -> Result<Self, String> {
        if let Some((_, known)) = Known::ALL.iter().find(|(known, _)| *known == name) {
            if *known == Known::RemoteUser {
                captures.add_user();
            }
            return Ok(Self::Known(*known));
        }
        let field = |name: &str| {
            let name = HeaderName::from_bytes(name.replace('_', "-").as_bytes());
            name.map_err(|_| "a header field's name follows the last `_` of `$http_`".to_owned())
        };
        if let Some(name) = name.strip_prefix("http_") {
            Ok(Self::Field(captures.add(Side::Request, field(name)?)))
        } else if let Some(name) = name.strip_prefix("sent_http_") {
            Ok(Self::Field(captures.add(Side::Sent, field(name)?)))
        } else if let Some(name) = name.strip_prefix("upstream_http_") {
            Ok(Self::Field(captures.add(Side::Upstream, field(name)?)))
        } else if let Some(name) = name.strip_prefix("arg_").filter(|name| !name.is_empty()) {
            Ok(Self::Argument(name.to_owned()))
        } else if let Some(name) = name.strip_prefix("cookie_").filter(|name| !name.is_empty()) {
            Ok(Self::Cookie(name.to_owned(), captures.add(Side::Request, COOKIE)))
        } else {
            Err(unknown(name))
        }
    }
}

fn unknown(name: &str) -> String {
    let names = || Known::ALL.iter().map(|(name, _)| *name);
    let nearest = nearest(name, names());
    let meant = nearest.map_or_else(String::new, |nearest| format!(" did you mean `${nearest}`?"));
    let names: Vec<_> = names().map(|name| format!("${name}")).collect();
    format!(
        "there is no variable `${name}`;{meant} there are: {} {}",
        names.join(" "),
        FAMILIES.join(" ")
    )
}

/// What a variable stands for; `None`: it is absent.
pub(super) fn value(
    variable: &Variable,
    captures: &Captures,
    fields: &Fields,
    now: SystemTime,
) -> Option<String> {
    let captured = |place: usize| {
        let told = fields.text(CAPTURED)?;
        captures.value(&told, place).map(str::to_owned)
    };
    match variable {
        Variable::Known(known) => of_event(*known, fields, now),
        Variable::Field(place) => captured(*place),
        Variable::Argument(name) => {
            let query = query(fields)?;
            let named = |pair: &str| {
                pair.split_once('=')
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
            };
            query.split('&').find_map(named)
        }
        Variable::Cookie(name, place) => {
            let cookies = captured(*place)?;
            let named = |pair: &str| {
                pair.trim_start()
                    .split_once('=')
                    .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_owned())
            };
            cookies.split(';').find_map(named)
        }
    }
}

fn query(fields: &Fields) -> Option<String> {
    let target = fields.text("target")?;
    Some(target.split_once('?')?.1.to_owned())
}

fn of_event(known: Known, fields: &Fields, now: SystemTime) -> Option<String> {
    let target = || fields.text("target").filter(|target| target != "-");
    let local = || fields.text("listener")?.parse::<std::net::SocketAddr>().ok();
    match known {
        Known::RemoteAddr => fields.text("client"),
        Known::RemotePort => fields.text("client_port"),
        Known::RemoteUser => fields.text("user"),
        Known::ServerAddr => local().map(|local| local.ip().to_string()),
        Known::ServerPort => local().map(|local| local.port().to_string()),
        Known::TimeLocal => Some(time_local(now)),
        Known::TimeIso => Some(humantime::format_rfc3339_seconds(now).to_string()),
        Known::Msec => {
            let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            Some(format!("{}.{:03}", since.as_secs(), since.subsec_millis()))
        }
        Known::Request => {
            let target = target()?;
            Some(format!(
                "{} {target} {}",
                fields.text("method")?,
                fields.text("protocol")?
            ))
        }
        Known::Method => fields.text("method"),
        Known::RequestUri => target(),
        Known::Uri => fields.text("path"),
        Known::Args => query(fields),
        Known::IsArgs => Some(query(fields).map_or("", |_| "?").to_owned()),
        Known::Protocol => fields.text("protocol"),
        Known::Scheme => fields.text("scheme"),
        Known::Host => fields
            .text("host")
            .map(|host| without_port(&host).to_ascii_lowercase()),
        Known::HttpHost => fields.text("host"),
        Known::Status => fields.text("status"),
        Known::BodyBytesSent => fields.text("bytes"),
        Known::Referer => fields.text("referer"),
        Known::UserAgent => fields.text("user_agent"),
        Known::RequestLength => fields.text("request_length"),
        Known::RequestTime => fields.number("duration_us").map(seconds),
        Known::Completion => {
            let is_complete = fields.text("end").is_some_and(|end| end == "complete");
            Some(if is_complete { "OK" } else { "" }.to_owned())
        }
        Known::Upstream => upstream(fields),
        // There is no canary here.
        Known::Alternative => Some(String::new()),
        Known::UpstreamAddr => fields.text("upstream"),
        Known::UpstreamLength => fields.text("upstream_response_length"),
        Known::UpstreamTime => fields.text("upstream_response_time"),
        Known::UpstreamStatus => fields.text("upstream_status"),
        Known::ReqId => fields.text("request_id"),
        Known::Namespace => fields.text("namespace"),
        Known::Ingress => fields.text("ingress"),
        Known::Service => fields.text("service"),
        Known::ServicePort => fields.text("service_port"),
    }
}

/// `NAMESPACE-SERVICE-PORT`; without a route, ingress-nginx's name for what answers 404.
fn upstream(fields: &Fields) -> Option<String> {
    if fields.text("route").is_none() && fields.number("status") == Some(404) {
        return Some("upstream-default-backend".to_owned());
    }
    Some(format!(
        "{}-{}-{}",
        fields.text("namespace")?,
        fields.text("service")?,
        fields.text("service_port")?
    ))
}

/// `[::1]:80` and `a.test:80` without their ports.
fn without_port(host: &str) -> &str {
    let end = host.find(']').map_or(0, |bracket| bracket + 1);
    let colon = host.get(end..).and_then(|rest| rest.find(':'));
    colon.and_then(|colon| host.get(..end + colon)).unwrap_or(host)
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

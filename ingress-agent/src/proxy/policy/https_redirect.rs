//! `ssl-redirect`: 308 to the same host and target over TLS.
//!
//! As ingress-nginx does: the host is lower-cased and loses its port, the target is the client's own text, and
//! one slash at the target's end, its query included, is cut off unless `preserve-trailing-slash` keeps it.

use std::net::IpAddr;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::model::Policies;
use crate::proxy::authority::HostName;
use crate::proxy::error::ProxyError;

/// Where a request is to go instead of its endpoint; `None`: nowhere else.
pub(in crate::proxy) fn judge(
    policies: &Policies,
    tls: bool,
    name: Option<HostName<'_>>,
    vip: IpAddr,
    target: &Uri,
) -> Result<Option<HeaderValue>, ProxyError> {
    if tls || !policies.https_redirect {
        return Ok(None);
    }
    location(&host(name, vip), target, policies.preserve_trailing_slash)
        .map(Some)
        .ok_or(ProxyError::Path)
}

/// Where a request for `target` at `host` is to go, with or without its last slash. `None`: a target that no header field may hold.
fn location(host: &str, target: &Uri, whole: bool) -> Option<HeaderValue> {
    let target = target.path_and_query().map_or("/", PathAndQuery::as_str);
    let cut = target.strip_suffix('/').filter(|_| !whole);
    let target = cut.unwrap_or(target);
    HeaderValue::try_from(format!("https://{host}{target}")).ok()
}

/// The host a client asked for; the VIP's address for one that named none.
fn host(name: Option<HostName<'_>>, vip: IpAddr) -> String {
    match (name, vip) {
        (Some(name), _) => name.as_str().to_owned(),
        (None, IpAddr::V4(vip)) => vip.to_string(),
        (None, IpAddr::V6(vip)) => format!("[{vip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_is_cut_off() {
        for (target, expected) in [
            ("/", "https://a.test"),
            ("/a", "https://a.test/a"),
            ("/d/", "https://a.test/d"),
            ("/d//", "https://a.test/d/"),
            ("/x?y=1", "https://a.test/x?y=1"),
            ("/x/?y=1/", "https://a.test/x/?y=1"),
            ("//other.test/x", "https://a.test//other.test/x"),
            ("http://a.test:81/x", "https://a.test/x"),
            ("http://a.test:81", "https://a.test"),
        ] {
            let location = location("a.test", &target.parse().unwrap(), false).unwrap();
            assert_eq!(location, expected, "{target}");
        }
    }

    #[test]
    fn the_slash_is_kept_where_that_is_asked_for() {
        for (target, expected) in [
            ("/", "https://a.test/"),
            ("/d/", "https://a.test/d/"),
            ("/x?y=1", "https://a.test/x?y=1"),
        ] {
            let location = location("a.test", &target.parse().unwrap(), true).unwrap();
            assert_eq!(location, expected, "{target}");
        }
    }
}

//! `ssl-redirect`: 308 to the same host and target over TLS.
//!
//! As ingress-nginx does: the host is lower-cased and loses its port, the target is the client's own text, and
//! one slash at the target's end, its query included, is cut off.

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use crate::proxy::authority::HostName;

/// Where a request for `target` at `host` is to go. `None`: a target that no header field may hold.
pub(in crate::proxy) fn location(host: &str, target: &Uri) -> Option<HeaderValue> {
    let target = target.path_and_query().map_or("/", PathAndQuery::as_str);
    let target = target.strip_suffix('/').unwrap_or(target);
    HeaderValue::try_from(format!("https://{host}{target}")).ok()
}

/// The host a client asked for; the VIP's address for one that named none.
pub(in crate::proxy) fn host(name: Option<HostName<'_>>, vip: std::net::IpAddr) -> String {
    match (name, vip) {
        (Some(name), _) => name.as_str().to_owned(),
        (None, std::net::IpAddr::V4(vip)) => vip.to_string(),
        (None, std::net::IpAddr::V6(vip)) => format!("[{vip}]"),
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
            let location = location("a.test", &target.parse().unwrap()).unwrap();
            assert_eq!(location, expected, "{target}");
        }
    }
}

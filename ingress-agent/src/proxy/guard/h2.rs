//! A request's head that came by HTTP/2: what the h2 crate leaves open, judged as strictly as HTTP/1 (RFC 9113
//! sections 8.2 and 8.3), since the pod gets it as HTTP/1.1.
//!
//! The crate itself refuses fields of one connection, names with capitals, pseudo-fields out of place, and a
//! Content-Length that the body does not keep.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, header};

use super::head::{MAX_FIELDS, MAX_TARGET, judge_path_and_query, plain_number};
use super::refusal::Refusal;
use super::syntax::{all_field, trim};

/// All fields, pseudo-fields too, each counted with 32 bytes more (RFC 9113 section 10.5.1).
pub(in crate::proxy) const MAX_LIST: usize = 16 * 1024;

/// Judges a head, and makes one field of several Cookie fields, as HTTP/1 has it.
pub(in crate::proxy) fn judge(parts: &mut Parts) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if parts
        .method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
    {
        return Err(Refusal::Method);
    }
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if !target.starts_with('/') {
        return Err(Refusal::Target);
    }
    judge_path_and_query(target.as_bytes())?;
    // Each piece of a Cookie counts: one of them costs an attacker one byte.
    if parts.headers.len() > MAX_FIELDS {
        return Err(Refusal::TooManyFields);
    }
    if list_size(parts) > MAX_LIST {
        return Err(Refusal::ListTooLarge);
    }
    let mut values = parts.headers.values().map(HeaderValue::as_bytes);
    if values.any(|value| !all_field(value) || trim(value) != value) {
        return Err(Refusal::FieldValue);
    }
    judge_length(&parts.headers)?;
    join_cookies(&mut parts.headers)
}

fn list_size(parts: &Parts) -> usize {
    let field = |name: &str, value: usize| name.len() + value + 32;
    let uri = &parts.uri;
    let pseudo = [
        (":method", Some(parts.method.as_str())),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(Authority::as_str)),
        (":path", uri.path_and_query().map(PathAndQuery::as_str)),
    ];
    let pseudo = pseudo
        .into_iter()
        .filter_map(|(name, value)| Some(field(name, value?.len())));
    let fields = parts.headers.iter();
    let fields = fields.map(|(name, value)| field(name.as_str(), value.len()));
    pseudo.chain(fields).sum()
}

fn judge_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if plain_number(length.as_bytes()).is_some() => Ok(()),
        (Some(_), _) => Err(Refusal::ContentLength),
    }
}

/// RFC 9113 section 8.2.3.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let cookies = headers.get_all(header::COOKIE);
    if cookies.iter().nth(1).is_none() {
        return Ok(());
    }
    let cookies: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]));
    headers.insert(header::COOKIE, joined.map_err(|_| Refusal::FieldValue)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn judged(request: http::request::Builder) -> Result<Parts, Refusal> {
        let mut parts = request.body(()).unwrap().into_parts().0;
        judge(&mut parts).map(|()| parts)
    }

    fn get(target: &str) -> http::request::Builder {
        Request::get(format!("https://a.test{target}"))
    }

    #[test]
    fn heads() {
        let long = format!("/{}", "a".repeat(MAX_TARGET - 1));
        // `:method`, `:scheme`, `:authority`, `:path` and `x`.
        let rest = 5 * 32 + ":methodGET:schemehttps:authoritya.test:path/x".len();
        let sized = |list: usize| get("/").header("x", "v".repeat(list - rest));
        let fields = |count: usize| (0..count).fold(get("/"), |get, _| get.header("cookie", "a=b"));
        for (request, expected) in [
            (get("/a?b"), None),
            (get("/").method("CONNECT"), Some(Refusal::Connect)),
            (get("/").method("get"), Some(Refusal::Method)),
            (get("/ä"), Some(Refusal::Target)),
            (Request::options("*"), Some(Refusal::Target)),
            (get(&long), None),
            (get(&format!("{long}a")), Some(Refusal::TargetTooLong)),
            (fields(100), None),
            (fields(101), Some(Refusal::TooManyFields)),
            (sized(MAX_LIST), None),
            (sized(MAX_LIST + 1), Some(Refusal::ListTooLarge)),
            (get("/").header("x", " a"), Some(Refusal::FieldValue)),
            (get("/").header("x", "a\t"), Some(Refusal::FieldValue)),
            (get("/").header("content-length", "5"), None),
            (
                get("/").header("content-length", "05"),
                Some(Refusal::ContentLength),
            ),
            (
                get("/").header("content-length", "+5"),
                Some(Refusal::ContentLength),
            ),
            (
                get("/").header("content-length", ""),
                Some(Refusal::ContentLength),
            ),
            (
                get("/")
                    .header("content-length", "5")
                    .header("content-length", "5"),
                Some(Refusal::ContentLength),
            ),
        ] {
            let shown = format!("{request:?}");
            assert_eq!(judged(request).err(), expected, "{shown}");
        }
    }

    #[test]
    fn a_cookie_in_pieces_is_put_together() {
        let parts = judged(get("/").header("cookie", "a=1").header("cookie", "b=2")).unwrap();
        let cookies: Vec<_> = parts.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }
}

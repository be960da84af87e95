//! The user that a request names by Basic Authorization (RFC 7617). Nobody is authenticated here: it is the client's
//! word, as nginx's `$remote_user` is.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::AUTHORIZATION;

const SCHEME: &[u8] = b"basic ";
/// Clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The name alone: what follows it is a password.
pub(super) fn user(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, credentials) = value.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let credentials = BASE64.decode(credentials.trim_ascii()).ok()?;
    let name = credentials.get(..memchr::memchr(b':', &credentials)?)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (value, expected) in [
            // ann:secret
            ("Basic YW5uOnNlY3JldA==", Some("ann")),
            ("basic   YW5uOnNlY3JldA", Some("ann")),
            // a:b:c
            ("Basic YTpiOmM=", Some("a")),
            // :secret
            ("Basic OnNlY3JldA==", Some("")),
            // ann
            ("Basic YW5u", None),
            ("Basic", None),
            ("Basic !", None),
            ("Bearer YW5uOnNlY3JldA==", None),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(user(&headers).as_deref(), expected, "{value}");
        }
        assert_eq!(user(&HeaderMap::new()), None);
    }
}

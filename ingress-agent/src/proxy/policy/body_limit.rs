//! `proxy-body-size`: the largest body, by what the request says of itself. What it does not say is counted
//! while it streams.

use http_body::SizeHint;

use crate::model::policy::BodyLimit;
use crate::proxy::error::ProxyError;
use crate::proxy::guard::Refusal;

/// The limit in bytes.
pub(in crate::proxy) fn bytes(limit: BodyLimit) -> u64 {
    match limit {
        BodyLimit::Bytes(bytes) => bytes,
        BodyLimit::Unlimited => u64::MAX,
    }
}

/// Refuses a body whose length is known and too large.
pub(in crate::proxy) fn check(limit: BodyLimit, body: &SizeHint) -> Result<(), ProxyError> {
    if body.lower() > bytes(limit) {
        return Err(ProxyError::Refused(Refusal::BodyTooLarge));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed() {
        for (limit, length, allowed) in [
            (BodyLimit::Bytes(5), 5, true),
            (BodyLimit::Bytes(5), 6, false),
            (BodyLimit::Bytes(0), 0, true),
            (BodyLimit::Bytes(0), 1, false),
            (BodyLimit::Unlimited, u64::MAX, true),
        ] {
            let checked = check(limit, &SizeHint::with_exact(length));
            assert_eq!(checked.is_ok(), allowed, "{limit:?} {length}");
        }
    }
}

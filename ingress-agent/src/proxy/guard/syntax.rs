//! The character classes of RFC 9110 section 5.6.2 and RFC 9112 section 4.

/// `tchar`.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What a field value may hold: HTAB, SP, VCHAR and `obs-text`.
pub(super) fn is_field(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether every byte may stand in a field value. Without an early end, so that it vectorises.
pub(super) fn all_field(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &byte| bad | !is_field(byte))
}

/// What a target may hold before its query: what RFC 3986 allows, and what browsers send raw besides.
pub(super) fn is_path(byte: u8) -> bool {
    is_query(byte) && byte != b'`'
}

/// What a query may hold.
pub(super) fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

/// The value without the optional white space around it.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that it is the guard that answers, not hyper in its own words.
    #[test]
    fn hyper_parses_every_target_the_guard_passes() {
        for byte in u8::MIN..=u8::MAX {
            let text = char::from(byte);
            if is_path(byte) {
                assert!(
                    format!("/{text}").parse::<http::Uri>().is_ok(),
                    "{text:?} in a path"
                );
            }
            if is_query(byte) {
                assert!(
                    format!("/?{text}").parse::<http::Uri>().is_ok(),
                    "{text:?} in a query"
                );
            }
        }
    }

    #[test]
    fn white_space_around_a_value_is_not_the_value() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
    }
}

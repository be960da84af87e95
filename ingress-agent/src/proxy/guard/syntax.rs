//! The character classes of RFC 9110 section 5.6.2 and RFC 9112 section 4.

const TOKEN: u8 = 1;
const METHOD: u8 = 2;
const QUERY: u8 = 4;
const PATH: u8 = 8;

/// The classes that each byte is in.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut rest: &mut [u8] = &mut classes;
    let mut byte = 0;
    while let [first, others @ ..] = rest {
        *first = classes_of(byte);
        byte = byte.wrapping_add(1);
        rest = others;
    }
    classes
}

const fn classes_of(byte: u8) -> u8 {
    let mut classes = 0;
    if byte.is_ascii_alphanumeric()
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
    {
        classes |= TOKEN;
        if !byte.is_ascii_lowercase() {
            classes |= METHOD;
        }
    }
    if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>') {
        classes |= QUERY;
        if byte != b'`' {
            classes |= PATH;
        }
    }
    classes
}

/// Whether a byte is in a class: one load, where a chain of comparisons would take ten.
#[inline]
fn is_in(byte: u8, class: u8) -> bool {
    CLASSES
        .get(usize::from(byte))
        .is_some_and(|classes| classes & class != 0)
}

/// `tchar`.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    is_in(byte, TOKEN)
}

/// What a method may hold: `tchar`, without the small letters, which no method has.
#[inline]
pub(super) fn is_method(byte: u8) -> bool {
    is_in(byte, METHOD)
}

/// What a field value may hold: HTAB, SP, VCHAR and `obs-text`.
pub(super) fn is_field(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether every byte may stand in a field value. Without an early end, so that it vectorises.
pub(in crate::proxy) fn all_field(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |bad, &byte| bad | !is_field(byte))
}

/// What a target may hold before its query: what RFC 3986 allows, and what browsers send raw besides.
#[inline]
pub(super) fn is_path(byte: u8) -> bool {
    is_in(byte, PATH)
}

/// What a query may hold.
#[inline]
pub(super) fn is_query(byte: u8) -> bool {
    is_in(byte, QUERY)
}

/// The value without the optional white space around it.
pub(in crate::proxy) fn trim(mut value: &[u8]) -> &[u8] {
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

//! The one form of a path, of a rule's and of a request's: what is matched is what is sent.
//!
//! Canonical: escapes of unreserved characters decoded, other escapes in upper case, runs of slashes merged,
//! `.` and `..` resolved (RFC 3986 section 6.2.2, and slashes as ingress-nginx merges them). `%2F` and `;` pass
//! as they are: GitLab and npm need the first. Refused: an escape that is none, `%00`, `\` and `%5C`'s raw
//! form, bytes outside ASCII, and a `..` that climbs above the root, which no honest client sends.

use std::borrow::Cow;

/// A path that has no canonical form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotCanonical;

/// The canonical form of `path`, which is the path itself when nothing was to be done.
pub fn canonical(path: &str) -> Result<Cow<'_, str>, NotCanonical> {
    let bytes = path.as_bytes();
    if !bytes.starts_with(b"/") || !bytes.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(NotCanonical);
    }
    if is_canonical(bytes) {
        return Ok(Cow::Borrowed(path));
    }
    resolve(&normalise_escapes(path)?).map(Cow::Owned)
}

/// Whether nothing is to be done: no escape, no `//`, and no element that begins with a dot (`/.well-known`
/// takes the long way, which gives the same).
fn is_canonical(bytes: &[u8]) -> bool {
    !bytes.contains(&b'%') && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

fn normalise_escapes(path: &str) -> Result<String, NotCanonical> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, escape)) = rest.split_once('%') {
        out.push_str(plain);
        let digits = escape.get(..2).ok_or(NotCanonical)?;
        // `from_str_radix` takes a sign too.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NotCanonical);
        }
        match u8::from_str_radix(digits, 16) {
            Ok(0) | Err(_) => return Err(NotCanonical),
            Ok(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(byte));
            }
            Ok(_) => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = escape.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(path: &str) -> Result<String, NotCanonical> {
    let mut out = String::with_capacity(path.len());
    // Whether the path ends in a slash, be it that of `.` or `..`.
    let mut open = true;
    for element in path.split('/') {
        open = matches!(element, "" | "." | "..");
        match element {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').ok_or(NotCanonical)?),
            _ => {
                out.push('/');
                out.push_str(element);
            }
        }
    }
    if open {
        out.push('/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/a/b", Some("/a/b")),
            ("/a/b/", Some("/a/b/")),
            ("//host/x", Some("/host/x")),
            ("/a//admin", Some("/a/admin")),
            ("/a///", Some("/a/")),
            ("/a/./b", Some("/a/b")),
            ("/a/.", Some("/a/")),
            ("/a/../admin", Some("/admin")),
            ("/a/b/..", Some("/a/")),
            ("/a/%2e%2e/admin", Some("/admin")),
            ("/a/.%2E/admin", Some("/admin")),
            ("/%61dmin", Some("/admin")),
            ("/a%2fadmin", Some("/a%2Fadmin")),
            ("/a%5cadmin", Some("/a%5Cadmin")),
            ("/a%20b", Some("/a%20b")),
            ("/%252e%252e/", Some("/%252e%252e/")),
            ("/a;x/../admin", Some("/admin")),
            ("/..;/admin", Some("/..;/admin")),
            ("/.;/", Some("/.;/")),
            (
                "/.well-known/acme-challenge/t",
                Some("/.well-known/acme-challenge/t"),
            ),
            ("/...", Some("/...")),
            ("/%c0%af", Some("/%C0%AF")),
            ("/..", None),
            ("/a/../..", None),
            ("/%2e%2e/", None),
            ("/%00", None),
            ("/%", None),
            ("/%2", None),
            ("/%zz", None),
            ("/%+1", None),
            ("/a\\b", None),
            ("/ä", None),
            ("/a b", None),
            ("a", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(canonical(path).ok().as_deref(), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(path in "/(/|\\.|%2e|%2f|%41|a|;|~){0,12}") {
            if let Ok(once) = canonical(&path) {
                prop_assert_eq!(canonical(&once), Ok(Cow::Borrowed(&*once)));
                prop_assert!(!once.contains("//"));
                prop_assert!(!once.split('/').any(|element| element == "." || element == ".."));
            }
        }
    }
}

//! Path matches of Ingress v1 and of ingress-nginx, their order, and the one form in which paths are compared.

use std::cmp::Reverse;
use std::sync::Arc;

mod canonical;

pub use canonical::{NotCanonical, canonical};

/// How a rule matches a request's path. Paths begin with `/`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PathMatch {
    /// The whole path, case-sensitive; `/foo` does not match `/foo/`.
    Exact(Arc<str>),
    /// By element; `/foo/` and `/foo` are the same prefix and match `/foo`, `/foo/` and `/foo/bar`. Held
    /// without its trailing slash, so that `/` is the empty text.
    Prefix(Arc<str>),
    /// By character; `/foo` matches `/foo`, `/foo/` and `/foobar`. What ingress-nginx makes of
    /// `ImplementationSpecific` on a host without regular expressions. Never `/`, which is the same Prefix.
    StringPrefix(Arc<str>),
}

/// A match's rank: the longer path counted in elements first, then Exact before Prefix (Ingress v1,
/// `HTTPIngressPath`) before string prefix, then the longer string prefix. Compares less when it goes first.
///
/// nginx takes an Exact match, else the longest text, a Prefix standing there as its path and a slash. Among the
/// matches of one request this is the same order: a string prefix of more elements is the longer text, and one of
/// as many elements is at most the Prefix and its slash.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PathSummary {
    elements: Reverse<usize>,
    kind: Kind,
    /// Of a string prefix, in bytes; 0 for the others, of which no two of one rank match the same request.
    length: Reverse<usize>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Exact,
    Prefix,
    StringPrefix,
}

impl PathMatch {
    /// An Exact match.
    pub fn exact(path: &str) -> Self {
        Self::Exact(Arc::from(path))
    }

    /// A Prefix match; a trailing slash adds nothing.
    pub fn prefix(path: &str) -> Self {
        Self::Prefix(Arc::from(path.strip_suffix('/').unwrap_or(path)))
    }

    /// A string prefix; of `/` the Prefix, which matches as much.
    pub fn string_prefix(path: &str) -> Self {
        match path {
            "" | "/" => Self::prefix(path),
            _ => Self::StringPrefix(Arc::from(path)),
        }
    }

    /// The path as it is written.
    pub fn path(&self) -> &str {
        match self {
            Self::Prefix(path) if path.is_empty() => "/",
            Self::Exact(path) | Self::Prefix(path) | Self::StringPrefix(path) => path,
        }
    }

    /// The match's rank.
    pub fn summary(&self) -> PathSummary {
        let (path, kind, length) = match self {
            Self::Exact(path) => (path, Kind::Exact, 0),
            Self::Prefix(path) => (path, Kind::Prefix, 0),
            Self::StringPrefix(path) => (path, Kind::StringPrefix, path.len()),
        };
        let elements = path.split('/').filter(|element| !element.is_empty()).count();
        PathSummary {
            elements: Reverse(elements),
            kind,
            length: Reverse(length),
        }
    }

    /// The `pathType` that makes it.
    pub fn path_type(&self) -> &'static str {
        match self {
            Self::Exact(_) => "Exact",
            Self::Prefix(_) => "Prefix",
            Self::StringPrefix(_) => "ImplementationSpecific",
        }
    }

    /// Whether a request's path (without query) matches. The router's trie must agree with this.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::StringPrefix(prefix) => path.starts_with(&**prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingress_v1_examples() {
        let cases = [
            (PathMatch::prefix("/"), "/any/path", true),
            (PathMatch::exact("/foo"), "/foo", true),
            (PathMatch::exact("/foo"), "/bar", false),
            (PathMatch::exact("/foo"), "/foo/", false),
            (PathMatch::exact("/foo/"), "/foo", false),
            (PathMatch::prefix("/foo"), "/foo", true),
            (PathMatch::prefix("/foo"), "/foo/", true),
            (PathMatch::prefix("/foo/"), "/foo", true),
            (PathMatch::prefix("/aaa/bb"), "/aaa/bbb", false),
            (PathMatch::prefix("/aaa/bbb/"), "/aaa/bbb", true),
            (PathMatch::prefix("/aaa/bbb"), "/aaa/bbb/ccc", true),
            (PathMatch::prefix("/aaa/bbb"), "/aaa/bbbxyz", false),
        ];
        for (path_match, path, expected) in cases {
            assert_eq!(path_match.matches(path), expected, "{path_match:?} {path}");
        }
    }

    #[test]
    fn a_string_prefix_is_by_character() {
        let cases = [
            ("/foo", "/foo", true),
            ("/foo", "/foo/", true),
            ("/foo", "/foobar", true),
            ("/foo", "/fo", false),
            ("/foo", "/Foo", false),
            ("/foo/", "/foo/x", true),
            ("/foo/", "/foo", false),
            ("/", "/any", true),
        ];
        for (prefix, path, expected) in cases {
            let matched = PathMatch::string_prefix(prefix).matches(path);
            assert_eq!(matched, expected, "{prefix} {path}");
        }
        assert_eq!(PathMatch::string_prefix("/"), PathMatch::prefix("/"));
    }

    /// nginx's rule, written down anew: an Exact match, else the longest text.
    #[test]
    fn of_the_matches_of_a_path_the_first_is_that_of_nginx() {
        let texts = ["/", "/a", "/a/", "/a/b", "/a/b/", "/a/bc", "/ab", "/a/b/c"];
        let asked = [
            "/", "/a", "/a/", "/ab", "/abc", "/a/b", "/a/bc", "/a/bcd", "/a/b/", "/a/b/c", "/a/b/cd",
        ];
        let all: Vec<PathMatch> = texts
            .iter()
            .flat_map(|text| {
                [
                    PathMatch::exact(text),
                    PathMatch::prefix(text),
                    PathMatch::string_prefix(text),
                ]
            })
            .collect();
        let text = |of: &PathMatch, path: &str| match of {
            PathMatch::Exact(_) => usize::MAX,
            // The location of the path itself is an exact one.
            PathMatch::Prefix(prefix) if **prefix == *path => usize::MAX - 1,
            PathMatch::Prefix(prefix) => prefix.len() + 1,
            PathMatch::StringPrefix(prefix) => prefix.len(),
        };
        for path in asked {
            let matching = || all.iter().filter(|of| of.matches(path));
            for one in matching() {
                for other in matching().filter(|other| text(one, path) > text(other, path)) {
                    assert!(
                        one.summary() < other.summary(),
                        "{path}: {one:?} before {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn longer_first_then_exact_before_prefix() {
        let mut matches = [
            PathMatch::prefix("/"),
            PathMatch::prefix("/a"),
            PathMatch::prefix("/a/b/"),
            PathMatch::exact("/a"),
        ];
        matches.sort_by_key(PathMatch::summary);
        assert_eq!(matches.each_ref().map(PathMatch::path), ["/a/b", "/a", "/a", "/"]);
        assert_eq!(matches[1], PathMatch::exact("/a"));
    }
}

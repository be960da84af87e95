//! Path matches of Ingress v1 and their order, and the one form in which paths are compared.

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
}

/// A match's rank: the longer path counted in elements first, then Exact before Prefix (Ingress v1,
/// `HTTPIngressPath`). Compares less when it goes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PathSummary {
    elements: Reverse<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Exact,
    Prefix,
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

    /// The path as it is written.
    pub fn path(&self) -> &str {
        match self {
            Self::Prefix(path) if path.is_empty() => "/",
            Self::Exact(path) | Self::Prefix(path) => path,
        }
    }

    /// The match's rank.
    pub fn summary(&self) -> PathSummary {
        let (path, kind) = match self {
            Self::Exact(path) => (path, Kind::Exact),
            Self::Prefix(path) => (path, Kind::Prefix),
        };
        let elements = path.split('/').filter(|element| !element.is_empty()).count();
        PathSummary {
            elements: Reverse(elements),
            kind,
        }
    }

    /// Whether a request's path (without query) matches. The router's trie must agree with this.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
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

//! One host's routes as a trie over path elements.
//!
//! [`model::PathMatch::matches`] over the sorted routes is what this must agree with; a property test holds
//! them together.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::Rule;
use crate::model::PathMatch;

/// The routes of one host.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Paths {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    exact: Option<Ranked>,
    prefix: Option<Ranked>,
    /// String prefixes, by how an element below begins.
    beginnings: BTreeMap<Box<str>, Ranked>,
    /// By their element, sorted. Most nodes have one child or none, and a map would take a kilobyte for it.
    children: Vec<(Box<str>, Self)>,
}

/// A rule and its place among the host's routes; 0 is the best.
#[derive(Debug)]
struct Ranked {
    rank: usize,
    rule: Arc<Rule>,
}

impl Paths {
    /// The best rule that matches.
    pub(in crate::proxy) fn get(&self, path: &str) -> Option<&Arc<Rule>> {
        let mut node = &self.root;
        let mut best = node.prefix.as_ref();
        for element in path.strip_prefix('/')?.split('/') {
            if !node.beginnings.is_empty() {
                best = better(best, node.beginning_of(element));
            }
            let Some(child) = node.child(element) else {
                return best.map(|best| &best.rule);
            };
            node = child;
            best = better(best, node.prefix.as_ref());
        }
        better(best, node.exact.as_ref()).map(|best| &best.rule)
    }

    /// Every rule, best first.
    pub(in crate::proxy) fn rules(&self) -> Vec<&Arc<Rule>> {
        let mut found: Vec<&Ranked> = Vec::new();
        let mut nodes = vec![&self.root];
        while let Some(node) = nodes.pop() {
            found.extend(
                node.exact
                    .iter()
                    .chain(&node.prefix)
                    .chain(node.beginnings.values()),
            );
            nodes.extend(node.children.iter().map(|(_, child)| child));
        }
        found.sort_by_key(|ranked| ranked.rank);
        found.into_iter().map(|ranked| &ranked.rule).collect()
    }

    fn insert(&mut self, path: &PathMatch, ranked: Ranked) {
        // The empty text is the prefix `/`; any other begins with a slash, or no path ever matches it.
        match path {
            PathMatch::Prefix(path) if path.is_empty() => _ = self.root.prefix.get_or_insert(ranked),
            PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::StringPrefix(path)
                if !path.starts_with('/') => {}
            PathMatch::Exact(path) => _ = self.root.below(path).exact.get_or_insert(ranked),
            PathMatch::Prefix(path) => _ = self.root.below(path).prefix.get_or_insert(ranked),
            PathMatch::StringPrefix(path) => {
                let (elements, beginning) = path.rsplit_once('/').unwrap_or_default();
                let node = self.root.below(elements);
                node.beginnings.entry(Box::from(beginning)).or_insert(ranked);
            }
        }
    }
}

impl Node {
    /// The node of a path, which is made where there is none.
    fn below(&mut self, path: &str) -> &mut Self {
        let elements = path.split('/').skip(1);
        elements.fold(self, Self::child_to_be)
    }

    fn child(&self, element: &str) -> Option<&Self> {
        let at = self.find(element).ok()?;
        self.children.get(at).map(|(_, child)| child)
    }

    /// A child, which is made where there is none.
    #[expect(clippy::indexing_slicing, reason = "the child was found or put there")]
    fn child_to_be(&mut self, element: &str) -> &mut Self {
        let at = self.find(element).unwrap_or_else(|at| {
            if self.children.is_empty() {
                self.children.reserve_exact(1);
            }
            self.children.insert(at, (Box::from(element), Self::default()));
            at
        });
        &mut self.children[at].1
    }

    /// Where the child of an element is, or would be.
    fn find(&self, element: &str) -> Result<usize, usize> {
        self.children.binary_search_by(|(own, _)| (**own).cmp(element))
    }

    /// The longest string prefix that an element begins with. The greatest text not above the element is it, or
    /// shares with the element all that one before it could.
    fn beginning_of(&self, element: &str) -> Option<&Ranked> {
        let mut sought = element;
        loop {
            let upto = (Bound::Unbounded, Bound::Included(sought));
            let (text, found) = self.beginnings.range::<str, _>(upto).next_back()?;
            if sought.starts_with(&**text) {
                return Some(found);
            }
            sought = shared(sought, text);
        }
    }
}

/// What a rule's path is made of.
fn elements(rule: &Rule) -> impl Iterator<Item = &str> {
    rule.route.matches.path.path().split('/')
}

/// What two texts both begin with.
fn shared<'a>(one: &'a str, other: &str) -> &'a str {
    let pairs = one.char_indices().zip(other.chars());
    let differ = pairs.into_iter().find(|((_, a), b)| a != b);
    let end = differ.map_or(one.len().min(other.len()), |((at, _), _)| at);
    one.get(..end).unwrap_or_default()
}

fn better<'a>(one: Option<&'a Ranked>, other: Option<&'a Ranked>) -> Option<&'a Ranked> {
    one.into_iter().chain(other).min_by_key(|ranked| ranked.rank)
}

impl FromIterator<Arc<Rule>> for Paths {
    /// Of rules in their order, best first.
    fn from_iter<I: IntoIterator<Item = Arc<Rule>>>(rules: I) -> Self {
        let mut paths = Self::default();
        let mut ranked: Vec<_> = rules.into_iter().enumerate().collect();
        // Every new child then comes behind its siblings.
        ranked.sort_by(|(_, one), (_, other)| elements(one).cmp(elements(other)));
        for (rank, rule) in ranked {
            let path = rule.route.matches.path.clone();
            paths.insert(&path, Ranked { rank, rule });
        }
        paths
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Action, Backend, BackendId, BackendPort, ObjectRef, Route, RouteMatch};

    fn rule(path: PathMatch) -> Arc<Rule> {
        let backend = Backend {
            id: BackendId {
                namespace: "n".into(),
                service: "s".into(),
                port: BackendPort::Name("http".into()),
            },
            endpoints: Vec::new(),
        };
        Arc::new(Rule {
            route: Arc::new(Route {
                matches: RouteMatch { path },
                action: Action::Forward(Arc::new(backend)),
                policies: Arc::default(),
                origin: ObjectRef {
                    kind: "Ingress",
                    namespace: "n".into(),
                    name: "i".into(),
                },
            }),
            upstream: None,
            host: None,
        })
    }

    fn any_path() -> impl Strategy<Value = String> {
        vec(prop_oneof!["/", "/a", "/b", "/aa", "/ab", "/a/b"], 0..5).prop_map(|elements| elements.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan_of_the_sorted_routes(
            matches in vec((any_path(), 0..3_u8), 0..12),
            asked in vec(any_path(), 1..8),
        ) {
            let mut matches: Vec<PathMatch> = matches
                .into_iter()
                .map(|(path, kind)| match kind {
                    0 => PathMatch::exact(&path),
                    1 => PathMatch::prefix(&path),
                    _ => PathMatch::string_prefix(&path),
                })
                .collect();
            matches.sort_by_key(PathMatch::summary);
            let paths: Paths = matches.iter().cloned().map(rule).collect();
            for path in asked.iter().filter(|path| path.starts_with('/')) {
                let expected = matches.iter().find(|path_match| path_match.matches(path));
                let found = paths.get(path).map(|rule| &rule.route.matches.path);
                prop_assert_eq!(found, expected, "{}", path);
            }
        }
    }

    #[test]
    fn a_path_takes_room_for_itself_alone() {
        let paths: Paths = [PathMatch::prefix("/a/b")].map(rule).into_iter().collect();
        let mut node = &paths.root;
        while let Some((_, child)) = node.children.first() {
            assert_eq!(node.children.capacity(), 1);
            node = child;
        }
        assert_eq!(node.children.capacity(), 0);
    }

    #[test]
    fn a_longer_prefix_wins_and_exact_beats_it() {
        let paths: Paths = [
            PathMatch::exact("/a/b"),
            PathMatch::prefix("/a/b"),
            PathMatch::prefix("/a"),
        ]
        .map(rule)
        .into_iter()
        .collect();
        let found = |path| paths.get(path).map(|rule| rule.route.matches.path.clone());
        assert_eq!(found("/a/b"), Some(PathMatch::exact("/a/b")));
        assert_eq!(found("/a/b/"), Some(PathMatch::prefix("/a/b")));
        assert_eq!(found("/a/bb"), Some(PathMatch::prefix("/a")));
        assert_eq!(found("/aa"), None);
    }
}

//! A value per host pattern, found by name.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use crate::model::Host;
use crate::proxy::authority::HostName;

/// Values by host pattern.
#[derive(Debug)]
pub(in crate::proxy) struct Hosts<T> {
    exact: HashMap<Arc<str>, T, RandomState>,
    wildcard: HashMap<Arc<str>, T, RandomState>,
    any: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            wildcard: HashMap::default(),
            any: None,
        }
    }
}

/// A pattern that matched.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) enum Pattern<'a> {
    Exact(&'a Arc<str>),
    Wildcard(&'a Arc<str>),
    Any,
}

impl From<Pattern<'_>> for Host {
    fn from(pattern: Pattern<'_>) -> Self {
        match pattern {
            Pattern::Exact(name) => Self::Exact(Arc::clone(name)),
            Pattern::Wildcard(parent) => Self::Wildcard(Arc::clone(parent)),
            Pattern::Any => Self::Any,
        }
    }
}

impl<T> Hosts<T> {
    /// Every pattern and its value, in no order.
    pub(in crate::proxy) fn iter(&self) -> impl Iterator<Item = (Host, &T)> {
        let exact = self
            .exact
            .iter()
            .map(|(name, value)| (Host::Exact(Arc::clone(name)), value));
        let wildcard = self
            .wildcard
            .iter()
            .map(|(parent, value)| (Host::Wildcard(Arc::clone(parent)), value));
        let any = self.any.iter().map(|value| (Host::Any, value));
        exact.chain(wildcard).chain(any)
    }

    /// The value of the best pattern that matches.
    pub(in crate::proxy) fn get(&self, name: Option<HostName<'_>>) -> Option<&T> {
        self.find(name).map(|(_, value)| value)
    }

    /// The best pattern that matches, exact, wildcard, any, and its value.
    pub(in crate::proxy) fn find(&self, name: Option<HostName<'_>>) -> Option<(Pattern<'_>, &T)> {
        name.and_then(|name| {
            let exact = self.exact.get_key_value(name.as_str());
            let wildcard = || self.wildcard.get_key_value(name.parent()?);
            exact
                .map(|(name, value)| (Pattern::Exact(name), value))
                .or_else(|| wildcard().map(|(parent, value)| (Pattern::Wildcard(parent), value)))
        })
        .or_else(|| self.any.as_ref().map(|value| (Pattern::Any, value)))
    }
}

impl<T> FromIterator<(Host, T)> for Hosts<T> {
    fn from_iter<I: IntoIterator<Item = (Host, T)>>(entries: I) -> Self {
        let mut hosts = Self::default();
        for (host, value) in entries {
            match host {
                Host::Exact(name) => _ = hosts.exact.insert(name, value),
                Host::Wildcard(parent) => _ = hosts.wildcard.insert(parent, value),
                Host::Any => hosts.any = Some(value),
            }
        }
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::authority::SCRATCH;

    #[test]
    fn exact_then_one_label_then_any() {
        let patterns = ["a.w.test", "*.w.test", ""].map(|text| (Host::parse(text).unwrap(), text));
        let hosts: Hosts<&str> = patterns.into_iter().collect();
        for (name, expected) in [
            ("a.w.test", "a.w.test"),
            ("A.W.TEST.", "a.w.test"),
            ("b.w.test", "*.w.test"),
            ("c.b.w.test", ""),
            ("w.test", ""),
            ("[::1]", ""),
        ] {
            let mut scratch = SCRATCH;
            let host = HostName::new(name, &mut scratch).unwrap();
            assert_eq!(hosts.get(Some(host)), Some(&expected), "{name}");
        }
        assert_eq!(hosts.get(None), Some(&""));
    }
}

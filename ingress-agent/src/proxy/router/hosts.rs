//! A value per host pattern, found by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Host;
use crate::proxy::authority::HostName;

/// Values by host pattern.
#[derive(Debug)]
pub(in crate::proxy) struct Hosts<T> {
    exact: HashMap<Arc<str>, T>,
    wildcard: HashMap<Arc<str>, T>,
    any: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: None,
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

    /// The value of the best pattern that matches: exact, wildcard, any.
    pub(in crate::proxy) fn get(&self, name: Option<HostName<'_>>) -> Option<&T> {
        name.and_then(|name| {
            let wildcard = || name.parent().and_then(|parent| self.wildcard.get(parent));
            self.exact.get(name.as_str()).or_else(wildcard)
        })
        .or(self.any.as_ref())
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

//! Which host pattern a name meets.

use crate::model::{Host, HostMap};
use crate::proxy::authority::HostName;

/// The best pattern that matches, exact, then wildcard, then any, and its value.
pub(in crate::proxy) fn find<'a, T>(
    hosts: &'a HostMap<T>,
    name: Option<HostName<'_>>,
) -> Option<(&'a Host, &'a T)> {
    name.and_then(|name| {
        let wildcard = || hosts.wildcard(name.parent()?);
        hosts.exact(name.as_str()).or_else(wildcard)
    })
    .or_else(|| hosts.any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::authority::SCRATCH;

    #[test]
    fn exact_then_one_label_then_any() {
        let patterns = ["a.w.test", "*.w.test", ""].map(|text| (Host::parse(text).unwrap(), text));
        let hosts: HostMap<&str> = patterns.into_iter().collect();
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
            assert_eq!(
                find(&hosts, Some(host)).map(|(_, value)| *value),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(find(&hosts, None).map(|(_, value)| *value), Some(""));
    }
}

//! What to write and what to remove, so that a map becomes what it should be.

use std::collections::BTreeMap;

/// The difference between two states of a map.
#[derive(Debug, Eq, PartialEq)]
pub struct Diff<K, V> {
    /// New and changed values.
    pub put: Vec<(K, V)>,
    /// Keys that go.
    pub remove: Vec<K>,
}

/// From what is held to what is wanted. What is the same is in neither list.
pub fn diff<K: Ord + Clone, V: PartialEq + Clone>(
    held: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Diff<K, V> {
    let changed = wanted.iter().filter(|(key, value)| held.get(key) != Some(value));
    let gone = held.keys().filter(|key| !wanted.contains_key(key));
    Diff {
        put: changed.map(|(key, value)| (key.clone(), value.clone())).collect(),
        remove: gone.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn applying_it_gives_what_is_wanted_and_touches_nothing_else(
            held in proptest::collection::btree_map(0u8..20, 0u8..3, 0..20),
            wanted in proptest::collection::btree_map(0u8..20, 0u8..3, 0..20),
        ) {
            let diff = diff(&held, &wanted);
            let mut result = held.clone();
            for (key, value) in &diff.put {
                prop_assert_ne!(held.get(key), Some(value));
            }
            result.extend(diff.put);
            result.retain(|key, _| !diff.remove.contains(key));
            prop_assert_eq!(result, wanted);
        }
    }
}

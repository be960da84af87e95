//! Who goes first when two objects claim the same.

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// An object's rank among those that claim the same; compares less when it goes first (DESIGN 5).
///
/// The older `creationTimestamp` first, then namespace/name in *descending* order, as ingress-nginx does.
/// Objects without a timestamp come last, by file name, then position in the file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Precedence {
    /// The object carries a `creationTimestamp`.
    Created {
        /// Microseconds since 1970.
        at: i64,
        /// `namespace/name`.
        name: Reverse<Arc<str>>,
    },
    /// It does not, as in hand-written manifests.
    Uncreated {
        /// The file's name in its folder.
        file: Arc<str>,
        /// Counts the objects of the file.
        position: usize,
    },
}

impl Precedence {
    /// The rank of the object that stands at `position` in `file`.
    pub fn new(metadata: &ObjectMeta, file: &Arc<str>, position: usize) -> Self {
        match &metadata.creation_timestamp {
            Some(created) => Self::Created {
                at: created.0.as_microsecond(),
                name: Reverse(Arc::from(format!(
                    "{}/{}",
                    metadata.namespace.as_deref().unwrap_or_default(),
                    metadata.name.as_deref().unwrap_or_default()
                ))),
            },
            None => Self::Uncreated {
                file: Arc::clone(file),
                position,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(at: i64, name: &str) -> Precedence {
        Precedence::Created {
            at,
            name: Reverse(Arc::from(name)),
        }
    }

    fn uncreated(file: &str, position: usize) -> Precedence {
        Precedence::Uncreated {
            file: Arc::from(file),
            position,
        }
    }

    #[test]
    fn older_then_descending_name_then_file_and_position() {
        let expected = [
            created(1, "a/a"),
            created(2, "b/a"),
            created(2, "a/z"),
            created(2, "a/a"),
            uncreated("a.yaml", 0),
            uncreated("a.yaml", 1),
            uncreated("b.yaml", 0),
        ];
        let mut sorted = expected.clone();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
}

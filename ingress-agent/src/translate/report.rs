//! What `translate` and its sources have to say about objects, in words that say what to change.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::digest::Fault;
use crate::model::ObjectRef;

/// Where an object stands in a folder.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file's name in its folder.
    pub file: Arc<str>,
    /// Counts the file's documents, from 1.
    pub document: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.file, self.document)
    }
}

/// A fault and the object that has it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// Whose it is. A file that cannot be read is an object of kind `File`.
    pub object: ObjectRef,
    /// Where the object stands.
    pub place: Option<Place>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Finding {
    /// One sentence: `Ingress shop/web (web.yaml, document 2) is degraded: FIELD: found ..., expected ...; ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, " is {}: {}", self.fault.verdict, self.fault)
    }
}

/// All findings, sorted, no two alike.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// By object, then worst last.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Sorts what was found: the order in which it was found means nothing.
    pub(super) fn new(findings: BTreeSet<Finding>) -> Self {
        Self {
            findings: findings.into_iter().collect(),
        }
    }
}

/// What is found while translating.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeSet<Finding>);

impl Findings {
    pub(super) fn add(&mut self, object: &ObjectRef, place: Option<&Place>, fault: Fault) {
        self.0.insert(Finding {
            object: object.clone(),
            place: place.cloned(),
            fault,
        });
    }

    pub(super) fn insert(&mut self, finding: Finding) {
        self.0.insert(finding);
    }

    pub(super) fn extend<'a>(&mut self, findings: impl IntoIterator<Item = &'a Finding>) {
        self.0.extend(findings.into_iter().cloned());
    }

    pub(super) fn finish(self) -> Report {
        Report::new(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Cause;

    #[test]
    fn a_finding_is_one_sentence() {
        let finding = Finding {
            object: ObjectRef {
                kind: "Ingress",
                namespace: Arc::from("shop"),
                name: Arc::from("web"),
            },
            place: Some(Place {
                file: Arc::from("web.yaml"),
                document: 2,
            }),
            fault: Fault::refused(Cause::Host, "spec.rules[0].host")
                .found("`a..b`")
                .expected("a DNS name")
                .so("the rule is not served")
                .change("correct the host name"),
        };
        assert_eq!(
            finding.to_string(),
            "Ingress shop/web (web.yaml, document 2) is refused: spec.rules[0].host: found `a..b`, \
             expected a DNS name; the rule is not served: correct the host name"
        );
    }
}

//! Naming an object to its author.

use std::fmt;
use std::sync::Arc;

/// The object a value comes from: what logs, `check`, conditions and Events name.
///
/// A struct, never a joined string: `a-b`/`c` and `a`/`b-c` are different objects (CVE-2020-8553).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectRef {
    /// `Ingress`, `Secret`, ...
    pub kind: &'static str,
    /// Empty for objects that have no namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

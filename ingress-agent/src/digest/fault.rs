//! What is wrong with an object, in words that say what to change.

use std::fmt;
use std::sync::Arc;

use super::Cause;

/// How much of the object works nevertheless. Worse is greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// It works, but not as its author thinks.
    Degraded,
    /// The named part of it, or all of it, is not served.
    Refused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Degraded => "degraded",
            Self::Refused => "refused",
        })
    }
}

/// One thing that is wrong with one object.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// How bad it is.
    pub verdict: Verdict,
    /// The field, as its author writes it: `spec.rules[0].host`. Empty: the object as a whole.
    pub field: Arc<str>,
    /// Which of all causes.
    pub cause: Cause,
    /// What stands there.
    pub found: Arc<str>,
    /// What should stand there.
    pub expected: Arc<str>,
    /// The nearest thing that exists, when a name was missed.
    pub nearest: Option<Arc<str>>,
    /// What follows for traffic.
    pub consequence: Arc<str>,
    /// The change that repairs it.
    pub change: Arc<str>,
}

type Text = Arc<str>;

/// Characters of what is found that are shown: objects may hold a megabyte where a name belongs.
const LONGEST: usize = 400;

impl Fault {
    /// A fault by which the field, or the object, is not served.
    pub fn refused(cause: Cause, field: impl Into<Text>) -> Self {
        Self::new(Verdict::Refused, cause, field)
    }

    /// A fault with which the object works, but not as written.
    pub fn degraded(cause: Cause, field: impl Into<Text>) -> Self {
        Self::new(Verdict::Degraded, cause, field)
    }

    /// A fault that is as bad as its place makes it.
    pub fn new(verdict: Verdict, cause: Cause, field: impl Into<Text>) -> Self {
        Self {
            verdict,
            field: field.into(),
            cause,
            found: Text::default(),
            expected: Text::default(),
            nearest: None,
            consequence: Text::default(),
            change: Text::default(),
        }
    }

    /// What stands there; of a very long text, how it begins.
    pub fn found(mut self, found: impl Into<Text>) -> Self {
        let found = found.into();
        self.found = match found.char_indices().nth(LONGEST) {
            Some((end, _)) => Text::from(format!("{}...", found.get(..end).unwrap_or_default())),
            None => found,
        };
        self
    }

    /// What should stand there.
    pub fn expected(mut self, expected: impl Into<Text>) -> Self {
        self.expected = expected.into();
        self
    }

    /// The nearest existing name, if there is one.
    pub fn nearest(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest.map(Text::from);
        self
    }

    /// What follows for traffic.
    pub fn so(mut self, consequence: impl Into<Text>) -> Self {
        self.consequence = consequence.into();
        self
    }

    /// The change that repairs it.
    pub fn change(mut self, change: impl Into<Text>) -> Self {
        self.change = change.into();
        self
    }
}

impl fmt::Display for Fault {
    /// `spec.rules[0].host: found `a..b`, expected a DNS name; the rule is not served: correct the name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)?;
        if let Some(nearest) = &self.nearest {
            write!(f, " (nearest: {nearest})")?;
        }
        write!(f, "; {}: {}", self.consequence, self.change)
    }
}

//! What an access log's format names of the heads, beside what every event tells.

use std::borrow::Cow;
use std::fmt;

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Whose head a field stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client's request.
    Request,
    /// The pod's answer.
    Upstream,
    /// The answer to the client.
    Sent,
}

/// What is captured: nothing, unless a format asks for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Captures {
    fields: Vec<(Side, HeaderName)>,
    user: bool,
}

impl Captures {
    /// Adds a field unless it is there; its place.
    pub fn add(&mut self, side: Side, name: HeaderName) -> usize {
        let wanted = (side, name);
        let fields = &mut self.fields;
        fields
            .iter()
            .position(|known| *known == wanted)
            .unwrap_or_else(|| {
                fields.push(wanted);
                fields.len() - 1
            })
    }

    /// Adds the name of Basic Authorization's user.
    pub fn add_user(&mut self) {
        self.user = true;
    }

    /// Whether the user's name is wanted.
    pub fn user(&self) -> bool {
        self.user
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// The captured values of one request. Without captures it allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Captured(Vec<Option<HeaderValue>>);

impl Captured {
    /// Takes what `captures` names from a head.
    pub(super) fn take(&mut self, captures: &Captures, side: Side, headers: &HeaderMap) {
        if captures.is_empty() {
            return;
        }
        self.0.resize(captures.len(), None);
        for (slot, (of, name)) in self.0.iter_mut().zip(&captures.fields) {
            if *of == side {
                *slot = joined(name, headers);
            }
        }
    }

    /// In words; `None`: nothing was to be captured.
    pub(super) fn words(&self) -> Option<tracing::field::DisplayValue<&Self>> {
        (!self.0.is_empty()).then(|| tracing::field::display(self))
    }
}

/// One line for each: nothing where the field is absent, else `=` and its value, in which no line can end
/// (RFC 9110 section 5.5; `HeaderValue` holds no CR, LF or NUL).
impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for value in &self.0 {
            if let Some(value) = value {
                write!(f, "={}", String::from_utf8_lossy(value.as_bytes()))?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// A field's lines as one value, as nginx joins them.
fn joined(name: &HeaderName, headers: &HeaderMap) -> Option<HeaderValue> {
    let separator = if *name == COOKIE { "; " } else { ", " };
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    let mut value = Cow::Borrowed(first.as_bytes());
    for line in lines {
        let value = value.to_mut();
        value.extend_from_slice(separator.as_bytes());
        value.extend_from_slice(line.as_bytes());
    }
    match value {
        Cow::Borrowed(_) => Some(first.clone()),
        Cow::Owned(value) => HeaderValue::try_from(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_each_side_in_their_places() {
        let mut captures = Captures::default();
        let name = HeaderName::from_static("x-a");
        assert_eq!(captures.add(Side::Request, name.clone()), 0);
        assert_eq!(captures.add(Side::Sent, name.clone()), 1);
        assert_eq!(captures.add(Side::Request, COOKIE), 2);
        assert_eq!(captures.add(Side::Sent, name.clone()), 1);
        let mut headers = HeaderMap::new();
        headers.append(&name, HeaderValue::from_static("1"));
        headers.append(&name, HeaderValue::from_bytes(b"\xff").unwrap());
        headers.append(COOKIE, HeaderValue::from_static("a=b"));
        headers.append(COOKIE, HeaderValue::from_static("c=d"));
        let mut captured = Captured::default();
        captured.take(&captures, Side::Request, &headers);
        assert_eq!(
            captured.words().unwrap().to_string(),
            "=1, \u{fffd}\n\n=a=b; c=d\n"
        );
        let mut none = Captured::default();
        none.take(&Captures::default(), Side::Request, &headers);
        assert!(none.words().is_none());
    }
}

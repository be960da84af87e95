//! What an access log's format names of the heads, beside what every event tells.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Whose head a field stands in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// The hash of the fields: by it an event says which fields its values are of.
    mark: u64,
}

impl Captures {
    /// Adds a field unless it is there; its place.
    pub fn add(&mut self, side: Side, name: HeaderName) -> usize {
        let wanted = (side, name);
        let place = self.fields.iter().position(|known| *known == wanted);
        place.unwrap_or_else(|| {
            self.fields.push(wanted);
            let mut hasher = DefaultHasher::new();
            self.fields.hash(&mut hasher);
            self.mark = hasher.finish();
            self.fields.len() - 1
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

    /// By what an event's values begin, so that it is known which fields they are of.
    pub fn mark(&self) -> String {
        format!("{:x}", self.mark)
    }

    /// The value at a place, of what an event tells; `None`: the field was absent, or the event's request began when
    /// other fields were captured.
    pub fn value<'a>(&self, told: &'a str, place: usize) -> Option<&'a str> {
        let mut lines = told.split('\n');
        let is_own = lines.next()? == self.mark();
        lines.nth(place).filter(|_| is_own)?.strip_prefix('=')
    }
}

/// The captured values of one request. Without captures it allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Captured {
    values: Vec<Option<HeaderValue>>,
    /// Of the captures that they are of.
    mark: u64,
}

impl Captured {
    /// Takes what `captures` names from a head.
    pub(super) fn take(&mut self, captures: &Captures, side: Side, headers: &HeaderMap) {
        if captures.is_empty() {
            return;
        }
        if self.mark != captures.mark {
            self.values.clear();
            self.mark = captures.mark;
        }
        self.values.resize(captures.len(), None);
        for (slot, (of, name)) in self.values.iter_mut().zip(&captures.fields) {
            if *of == side {
                *slot = joined(name, headers);
            }
        }
    }

    /// In words; `None`: nothing was to be captured.
    pub(super) fn words(&self) -> Option<tracing::field::DisplayValue<&Self>> {
        (!self.values.is_empty()).then(|| tracing::field::display(self))
    }
}

/// A line that says of which captures, then one for each: nothing where the field is absent, else `=` and its value,
/// in which no line can end (RFC 9110 section 5.5; `HeaderValue` holds no CR, LF or NUL).
impl fmt::Display for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:x}", self.mark)?;
        for value in &self.values {
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
        let told = captured.words().unwrap().to_string();
        let values = [0, 1, 2, 3].map(|place| captures.value(&told, place));
        assert_eq!(values, [Some("1, \u{fffd}"), None, Some("a=b; c=d"), None]);

        // Another format, from the middle of a request on: no value stands in another's place.
        let mut others = Captures::default();
        others.add(Side::Sent, COOKIE);
        others.add(Side::Request, name.clone());
        assert_eq!(others.value(&told, 0), None);
        captured.take(&others, Side::Sent, &headers);
        let told = captured.words().unwrap().to_string();
        assert_eq!(
            [0, 1].map(|place| others.value(&told, place)),
            [Some("a=b; c=d"), None]
        );
        assert_eq!(captures.value(&told, 0), None);
        let mut none = Captured::default();
        none.take(&Captures::default(), Side::Request, &headers);
        assert!(none.words().is_none());
    }
}

//! An object as JSON text, whatever it is read from, without who wrote which field when.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;

/// The field of the metadata that is left out: the largest part of many objects.
const LEFT_OUT: &str = "managedFields";

/// JSON, in UTF-8.
#[derive(Clone)]
pub(super) struct Text(pub(super) Vec<u8>);

impl fmt::Debug for Text {
    /// It may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut out = Vec::with_capacity(1024);
        let copy = Copy {
            out: &mut out,
            place: Place::Object,
        };
        copy.deserialize(deserializer)?;
        out.shrink_to_fit();
        Ok(Self(out))
    }
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place {
    Object,
    Metadata,
    Deeper,
}

/// Writes one value.
struct Copy<'a> {
    out: &'a mut Vec<u8>,
    place: Place,
}

impl Copy<'_> {
    fn put<E: Error>(self, value: impl Serialize) -> Result<(), E> {
        serde_json::to_writer(self.out, &value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let place = Place::Deeper;
        while seq
            .next_element_seed(Copy {
                out: &mut *self.out,
                place,
            })?
            .is_some()
        {
            self.out.push(b',');
        }
        end(self.out, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        loop {
            let begin = self.out.len();
            let key = Copy {
                out: &mut *self.out,
                place: Place::Deeper,
            };
            if map.next_key_seed(key)?.is_none() {
                break;
            }
            let key = self.out.get(begin + 1..self.out.len() - 1).unwrap_or_default();
            let place = match self.place {
                Place::Object if key == b"metadata" => Place::Metadata,
                Place::Metadata if key == LEFT_OUT.as_bytes() => {
                    self.out.truncate(begin);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Place::Object | Place::Metadata | Place::Deeper => Place::Deeper,
            };
            self.out.push(b':');
            map.next_value_seed(Copy {
                out: &mut *self.out,
                place,
            })?;
            self.out.push(b',');
        }
        end(self.out, b'}');
        Ok(())
    }
}

/// Ends a list of values, each of which has a comma behind it.
fn end(out: &mut Vec<u8>, bracket: u8) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(bracket);
}

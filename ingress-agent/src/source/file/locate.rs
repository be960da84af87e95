//! Finding the line of a field again, for the one message that needs it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Path, Segment};
use serde_saphyr::Spanned;

/// A value's shape, with the line of everything in it.
enum Shape {
    Map(Vec<(String, Spanned<Self>)>),
    Seq(Vec<Spanned<Self>>),
    Scalar,
}

/// The line, from 1, of the deepest part of `path` that is in `text`; of a list, in its item. JSON is read
/// as the YAML it is.
pub(super) fn line(text: &str, item: Option<usize>, path: Option<&Path>) -> Option<usize> {
    let mut node: Spanned<Shape> =
        serde_saphyr::from_str_with_options(text, super::document::options()).ok()?;
    if let Some(item) = item {
        node = node.value.entry("items")?.value.element(item)?;
    }
    for segment in path.into_iter().flatten() {
        let next = match segment {
            Segment::Map { key } => node.value.entry(key),
            Segment::Seq { index } => node.value.element(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    usize::try_from(node.referenced.line()).ok()
}

impl Shape {
    fn entry(&mut self, key: &str) -> Option<Spanned<Self>> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .position(|(name, _)| name == key)
                .map(|at| entries.swap_remove(at).1),
            Self::Seq(_) | Self::Scalar => None,
        }
    }

    fn element(&mut self, index: usize) -> Option<Spanned<Self>> {
        match self {
            Self::Seq(entries) if index < entries.len() => Some(entries.swap_remove(index)),
            Self::Map(_) | Self::Seq(_) | Self::Scalar => None,
        }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Shape, E> {
            Ok(Shape::Scalar)
        })*
    };
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Shape::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        Ok(Shape::Seq(entries))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Shape::Scalar)
    }
}

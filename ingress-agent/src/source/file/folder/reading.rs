//! One reading of one file.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::{File, Object, Shape, TextHash, about_file, kept, unreadable};
use crate::digest::{Cause, Fault, Precedence};
use crate::model::ObjectRef;
use crate::source::file::document::Document;
use crate::source::file::locate;
use crate::source::file::object::{self, Read, Refused};
use crate::translate::{Finding, Place};

/// A file while it is read.
pub(super) struct Reading<'a> {
    name: &'a Arc<str>,
    last: &'a [Object],
    by_name: HashMap<&'a ObjectRef, &'a Object>,
    by_text: HashMap<TextHash, &'a Object>,
    file: File,
    position: usize,
    /// Some document could not be read at all, so nobody knows which objects it holds.
    holes: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(name: &'a Arc<str>, last: &'a [Object]) -> Self {
        Self {
            name,
            last,
            by_name: last.iter().map(|object| (&object.name, object)).collect(),
            by_text: last
                .iter()
                .filter_map(|object| Some((object.text?, object)))
                .collect(),
            file: File::default(),
            position: 0,
            holes: false,
        }
    }

    pub(super) fn document(&mut self, document: &Document<'_>) {
        if let Some(last) = self.by_text.get(&TextHash::of(document.text)) {
            // Reading it again would say the same.
            let last = Object::clone(last);
            self.object(document, last);
            return;
        }
        match document.value() {
            Ok(Value::Null) => {}
            Ok(value) => self.value(document, None, value),
            Err(why) => self.unreadable(document, why),
        }
    }

    /// An object as it stands in a document.
    fn object(&mut self, document: &Document<'_>, mut object: Object) {
        object.place = self.place(document);
        if let Precedence::Uncreated { position, .. } = &mut object.precedence {
            *position = self.position;
        }
        self.position += 1;
        self.file.objects.push(object);
    }

    fn place(&self, document: &Document<'_>) -> Place {
        Place {
            file: Arc::clone(self.name),
            document: document.number,
        }
    }

    /// A document's object, or one item of its list.
    fn value(&mut self, document: &Document<'_>, item: Option<usize>, value: Value) {
        let place = self.place(document);
        let last = |name: &ObjectRef| self.by_name.get(name).map(|object| &object.digest);
        match object::read(value, self.name, self.position, last) {
            Read::Object(name, precedence, digest, faults) => {
                let alone = item.is_none() && faults.is_empty();
                self.position += 1;
                self.file.findings.extend(faults.into_iter().map(|fault| Finding {
                    object: name.clone(),
                    place: Some(place.clone()),
                    fault,
                }));
                self.file.objects.push(Object {
                    name,
                    precedence,
                    place,
                    digest,
                    text: alone.then(|| TextHash::of(document.text)),
                });
            }
            Read::Unused => {}
            Read::Foreign(kind) => {
                self.file.foreign.insert(kind);
            }
            Read::List(items) => {
                for (index, item) in items.into_iter().enumerate() {
                    self.value(document, Some(index), item);
                }
            }
            Read::Refused(refused) => {
                let Refused {
                    name,
                    mut fault,
                    path,
                } = *refused;
                if let Some(line) = locate::line(document.text, item, path.as_ref()) {
                    let line = document.line + line - 1;
                    fault.found = format!("{} (line {line})", fault.found).into();
                }
                if let Some(last) = self.by_name.get(&name) {
                    self.position += 1;
                    self.file.objects.push(Object::clone(last));
                    fault = fault.so("the object stays as it was before");
                }
                self.file.findings.push(Finding {
                    object: name,
                    place: Some(place),
                    fault,
                });
            }
        }
    }

    fn unreadable(&mut self, document: &Document<'_>, why: String) {
        self.holes = true;
        let fault = unreadable(why, kept(!self.last.is_empty()));
        self.file
            .findings
            .push(about_file(self.name, Some(document.number), fault));
    }

    /// Objects that were in a file which now has holes, or nothing in it at all, stay.
    pub(super) fn finish(mut self, shape: Shape) -> File {
        self.file.shape = shape;
        let emptied = self.position == 0 && self.file.findings.is_empty() && self.file.foreign.is_empty();
        if emptied && !self.last.is_empty() {
            let fault = Fault::degraded(Cause::FileEmpty, "")
                .found("a file that has become empty")
                .expected("objects, or no file")
                .so(kept(true))
                .change("delete the file to remove its objects");
            self.file.findings.push(about_file(self.name, None, fault));
        }
        if emptied || self.holes {
            let read: HashSet<_> = self
                .file
                .objects
                .iter()
                .map(|object| object.name.clone())
                .collect();
            let kept = self.last.iter().filter(|object| !read.contains(&object.name));
            self.file.objects.extend(kept.cloned());
        }
        self.file
    }
}

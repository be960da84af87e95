//! A folder as it was last read: files, their objects, and what of them stays when they stop making sense.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File as OpenFile;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::document::{self, Document};
use super::object::{self, Digest, Read};
use super::{MAX_FILE_BYTES, NODES_FILE, locate};
use crate::digest::{Fault, Nodes, Precedence, node};
use crate::model::ObjectRef;
use crate::translate::{Entry, Finding, Place, Snapshot};

mod admission;

/// A folder's files and fleet.
pub(super) struct Folder {
    dir: PathBuf,
    node: Arc<str>,
    /// The fleet where there is no `nodes.yaml`.
    alone: Arc<Nodes>,
    files: BTreeMap<Arc<str>, File>,
    fleet: Fleet,
    /// Where the clock of `nodes.yaml` begins.
    began: Instant,
}

/// What a file last said.
#[derive(Default)]
struct File {
    objects: Vec<Object>,
    findings: Vec<Finding>,
    foreign: BTreeSet<String>,
}

/// An object of a file.
#[derive(Clone)]
struct Object {
    name: ObjectRef,
    precedence: Precedence,
    place: Place,
    digest: Digest,
}

/// What `nodes.yaml` last said.
#[derive(Default)]
struct Fleet {
    present: bool,
    /// The last good one, also after the file is gone: its numbers rest.
    nodes: Option<Arc<Nodes>>,
    finding: Option<Finding>,
}

impl Folder {
    /// A folder of which nothing is known yet.
    pub(super) fn new(dir: &Path, node: &Arc<str>) -> Self {
        Self {
            dir: dir.to_owned(),
            node: Arc::clone(node),
            alone: Arc::new(Nodes::alone(node)),
            files: BTreeMap::new(),
            fleet: Fleet::default(),
            began: Instant::now(),
        }
    }

    /// The files it knows.
    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        let fleet = self.fleet.present.then(|| Arc::from(NODES_FILE));
        self.files.keys().cloned().chain(fleet)
    }

    /// Forgets a deleted file and its objects.
    pub(super) fn remove(&mut self, name: &str) {
        if name == NODES_FILE {
            self.fleet.present = false;
            self.fleet.finding = None;
        } else {
            self.files.remove(name);
        }
    }

    /// Reads a file, for the first time or again.
    pub(super) fn read(&mut self, name: &Arc<str>) {
        match text_of(&self.dir.join(&**name)) {
            Err(Unread::Gone) => self.remove(name),
            Err(Unread::Failed(found)) => self.failed(name, &found),
            Ok(text) if **name == *NODES_FILE => self.read_nodes(&text),
            Ok(text) => self.read_objects(name, &text),
        }
    }

    fn failed(&mut self, name: &Arc<str>, found: &str) {
        if **name == *NODES_FILE {
            let fault = unreadable(found.to_owned(), "the nodes stay as they were");
            self.fleet.present = true;
            self.fleet.finding = Some(about_file(name, None, fault));
        } else {
            let file = self.files.entry(Arc::clone(name)).or_default();
            let fault = unreadable(found.to_owned(), kept(!file.objects.is_empty()));
            file.findings = vec![about_file(name, None, fault)];
        }
    }

    fn read_nodes(&mut self, text: &str) {
        let now = self.began.elapsed().as_secs();
        let parsed = serde_saphyr::from_str_with_options(text, document::options()).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            unreadable(
                format!("line {line}: {}", error.without_snippet()),
                "the nodes stay as they were",
            )
        });
        let digested = parsed.and_then(|file| node::digest(file, self.fleet.nodes.as_ref(), now));
        self.fleet.present = true;
        self.fleet.finding = None;
        match digested {
            Ok(nodes) => self.fleet.nodes = Some(nodes),
            Err(fault) => self.fleet.finding = Some(about_file(&Arc::from(NODES_FILE), None, fault)),
        }
    }

    fn read_objects(&mut self, name: &Arc<str>, text: &str) {
        let last = self.files.remove(name).unwrap_or_default();
        let mut reading = Reading::new(name, &last.objects);
        for document in document::parse(text, name.ends_with(".json")) {
            match document {
                Ok(document) => reading.document(document),
                Err(unreadable) => reading.unreadable(unreadable),
            }
        }
        self.files.insert(Arc::clone(name), reading.finish());
    }

    /// All that is known now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let nodes = if self.fleet.present {
            self.fleet.nodes.clone()
        } else {
            Some(Arc::clone(&self.alone))
        };
        let mut snapshot = Snapshot {
            time: SystemTime::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_secs().cast_signed()),
            nodes,
            foreign: self
                .files
                .values()
                .flat_map(|file| &file.foreign)
                .cloned()
                .collect(),
            findings: self.fleet.finding.iter().cloned().collect(),
            ..Snapshot::empty(&self.node)
        };
        let mut owners: HashMap<&ObjectRef, &Place> = HashMap::new();
        for file in self.files.values() {
            snapshot.findings.extend(file.findings.iter().cloned());
            for object in &file.objects {
                match owners.get(&object.name) {
                    Some(first) => {
                        snapshot
                            .findings
                            .push(admission::duplicate(&object.name, &object.place, first))
                    }
                    None => {
                        owners.insert(&object.name, &object.place);
                        object.enter(&mut snapshot);
                    }
                }
            }
        }
        admission::default_class(&mut snapshot);
        snapshot
    }
}

impl Object {
    fn enter(&self, snapshot: &mut Snapshot) {
        match &self.digest {
            Digest::Ingress(value) => snapshot.ingresses.push(self.entry(value)),
            Digest::Class(value) => snapshot.classes.push(self.entry(value)),
            Digest::Service(value) => snapshot.services.push(self.entry(value)),
            Digest::Endpoints(value) => snapshot.endpoints.push(self.entry(value)),
            Digest::Secret(value) => snapshot.secrets.push(self.entry(value)),
            Digest::Pool(value) => snapshot.pools.push(self.entry(value)),
        }
    }

    fn entry<T>(&self, value: &Arc<T>) -> Entry<T> {
        Entry {
            precedence: self.precedence.clone(),
            place: Some(self.place.clone()),
            value: Arc::clone(value),
        }
    }
}

/// A file while it is read.
struct Reading<'a> {
    name: &'a Arc<str>,
    last: &'a [Object],
    by_name: HashMap<&'a ObjectRef, &'a Object>,
    file: File,
    position: usize,
    /// Some document could not be read at all, so nobody knows which objects it holds.
    holes: bool,
}

impl<'a> Reading<'a> {
    fn new(name: &'a Arc<str>, last: &'a [Object]) -> Self {
        Self {
            name,
            last,
            by_name: last.iter().map(|object| (&object.name, object)).collect(),
            file: File::default(),
            position: 0,
            holes: false,
        }
    }

    fn document(&mut self, mut document: Document<'_>) {
        let value = document.value.take();
        self.value(&document, None, value);
    }

    /// A document's object, or one item of its list.
    fn value(&mut self, document: &Document<'_>, item: Option<usize>, value: serde_json::Value) {
        let place = Place {
            file: Arc::clone(self.name),
            document: document.number,
        };
        let last = |name: &ObjectRef| self.by_name.get(name).map(|object| &object.digest);
        match object::read(value, self.name, self.position, last) {
            Read::Object(name, precedence, digest) => {
                self.position += 1;
                self.file.objects.push(Object {
                    name,
                    precedence,
                    place,
                    digest,
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
            Read::Refused(name, mut fault, path) => {
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

    fn unreadable(&mut self, document: document::Unreadable) {
        self.holes = true;
        let fault = unreadable(document.why, kept(!self.last.is_empty()));
        self.file
            .findings
            .push(about_file(self.name, Some(document.number), fault));
    }

    /// Objects that were in a file which now has holes, or nothing in it at all, stay.
    fn finish(mut self) -> File {
        let emptied = self.position == 0 && self.file.findings.is_empty() && self.file.foreign.is_empty();
        if emptied && !self.last.is_empty() {
            let fault = Fault::degraded("file-empty", "")
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

enum Unread {
    Gone,
    Failed(String),
}

fn text_of(path: &Path) -> Result<String, Unread> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Gone,
        _ => Unread::Failed(format!("a file that cannot be read ({error})")),
    };
    let mut text = Vec::new();
    let file = OpenFile::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MAX_FILE_BYTES) {
        return Err(Unread::Failed(format!("more than {MAX_FILE_BYTES} bytes")));
    }
    String::from_utf8(text)
        .map_err(|error| Unread::Failed(format!("text that is not UTF-8 ({})", error.utf8_error())))
}

fn unreadable(found: String, consequence: &'static str) -> Fault {
    Fault::refused("file", "")
        .found(found)
        .expected("YAML or JSON")
        .so(consequence)
        .change("correct the text")
}

fn kept(had: bool) -> &'static str {
    if had {
        "the objects it held stay as they were"
    } else {
        "nothing of it is used"
    }
}

fn about_file(name: &Arc<str>, document: Option<usize>, fault: Fault) -> Finding {
    Finding {
        object: ObjectRef {
            kind: "File",
            namespace: Arc::from(""),
            name: Arc::clone(name),
        },
        place: document.map(|document| Place {
            file: Arc::clone(name),
            document,
        }),
        fault,
    }
}

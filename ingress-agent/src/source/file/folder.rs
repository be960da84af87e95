//! A folder as it was last read: files, their objects, and what of them stays when they stop making sense.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Instant, SystemTime};

use super::object::Digest;
use super::{NODES_FILE, document};
use crate::digest::{Cause, Fault, Nodes, Precedence, node};
use crate::model::ObjectRef;
use crate::translate::{Entry, Finding, Place, Snapshot};

mod admission;
mod reading;
mod text;

use reading::Reading;
use text::{Unread, text_of};

/// How many bytes of a text's end are remembered: more than one rule of an Ingress has.
const ENDING: usize = 256;

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

/// How a file's text came to be there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Arrival {
    /// Somebody wrote it in place and closed it. More may follow.
    Written,
    /// It was moved there, or nobody has written for a while: this is all.
    Whole,
}

/// What became of a reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It counts.
    Taken,
    /// It looks like the beginning of a text that is still being written, and does not count yet.
    Held,
}

/// What a file last said.
#[derive(Default)]
struct File {
    shape: Shape,
    objects: Vec<Object>,
    findings: Vec<Finding>,
    foreign: BTreeSet<String>,
}

/// A text's length and end, for telling a shorter text from a beginning.
#[derive(Default)]
struct Shape {
    bytes: usize,
    end: Vec<u8>,
}

impl Shape {
    fn of(text: &str) -> Self {
        let end = text.len().saturating_sub(ENDING);
        Self {
            bytes: text.len(),
            end: text.as_bytes().get(end..).unwrap_or_default().to_vec(),
        }
    }

    /// Who edits a text leaves its end alone, as a rule; a text that is shorter and ends otherwise may be
    /// the beginning of one.
    fn may_be_a_beginning_of(&self, whole: &Self) -> bool {
        self.bytes < whole.bytes && self.end != whole.end
    }
}

/// An object of a file.
#[derive(Clone)]
struct Object {
    name: ObjectRef,
    precedence: Precedence,
    place: Place,
    digest: Digest,
    /// The document that says this and nothing else, with nothing to be said about it.
    text: Option<TextHash>,
}

/// A document's text. Keyed at start: no two texts are ever found that have the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct TextHash(u64);

impl TextHash {
    fn of(text: &str) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one(text))
    }
}

/// What `nodes.yaml` last said.
#[derive(Default)]
struct Fleet {
    present: bool,
    shape: Shape,
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
    pub(super) fn read(&mut self, name: &Arc<str>, arrival: Arrival) -> Outcome {
        match text_of(&self.dir.join(&**name)) {
            Err(Unread::Gone) => self.remove(name),
            Err(Unread::Failed(found)) => self.failed(name, &found),
            Ok(text) if **name == *NODES_FILE => return self.read_nodes(&text, arrival),
            Ok(text) => return self.read_objects(name, &text, arrival),
        }
        Outcome::Taken
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

    fn read_nodes(&mut self, text: &str, arrival: Arrival) -> Outcome {
        let shape = Shape::of(text);
        let now = self.began.elapsed().as_secs();
        let parsed = serde_saphyr::from_str_with_options(text, document::options()).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            unreadable(
                format!("line {line}: {}", error.without_snippet()),
                "the nodes stay as they were",
            )
        });
        let digested = parsed.and_then(|file| node::digest(file, self.fleet.nodes.as_ref(), now));
        let lacks_nodes = match (&digested, &self.fleet.nodes) {
            (Ok(new), Some(last)) => new.nodes.len() < last.nodes.len(),
            (Ok(_), None) | (Err(_), _) => false,
        };
        let doubtful = shape.may_be_a_beginning_of(&self.fleet.shape) || lacks_nodes;
        if arrival == Arrival::Written && doubtful && self.fleet.present {
            return Outcome::Held;
        }
        self.fleet.present = true;
        self.fleet.shape = shape;
        self.fleet.finding = None;
        match digested {
            Ok(nodes) => self.fleet.nodes = Some(nodes),
            Err(fault) => self.fleet.finding = Some(about_file(&Arc::from(NODES_FILE), None, fault)),
        }
        Outcome::Taken
    }

    fn read_objects(&mut self, name: &Arc<str>, text: &str, arrival: Arrival) -> Outcome {
        let nothing = File::default();
        let last = self.files.get(name).unwrap_or(&nothing);
        let shape = Shape::of(text);
        if arrival == Arrival::Written && shape.may_be_a_beginning_of(&last.shape) {
            return Outcome::Held;
        }
        let mut reading = Reading::new(name, &last.objects);
        for document in document::documents(text, name.ends_with(".json")) {
            reading.document(&document);
        }
        let file = reading.finish(shape);
        if arrival == Arrival::Written && file.lacks_some_of(last) {
            return Outcome::Held;
        }
        self.files.insert(Arc::clone(name), file);
        Outcome::Taken
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

impl File {
    fn lacks_some_of(&self, last: &Self) -> bool {
        let names: HashSet<_> = self.objects.iter().map(|object| &object.name).collect();
        last.objects.iter().any(|object| !names.contains(&object.name))
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

fn unreadable(found: String, consequence: &'static str) -> Fault {
    Fault::refused(Cause::File, "")
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

#[cfg(test)]
mod tests;

//! What the agent would say of a folder of manifests, without running.
//!
//! In: a folder. Out: a verdict for every object that is the agent's business, with all its faults at once,
//! and whether anything is refused. Says nothing of objects of other classes and kinds, and does not ask for
//! EndpointSlices or Secrets where the folder holds none of that kind.

mod json;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::digest::{Cause, Ingress, Verdict};
use crate::model::ObjectRef;
use crate::source::file;
use crate::translate::{
    Controllers, Entry, Finding, INGRESS_NGINX, Place, Snapshot, Translator, judged, left_to_ingress_nginx,
};

/// How a check ended: the exit code, 0 or 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing is refused; when strict, nothing is degraded either.
    Passed,
    /// Something is.
    Failed,
}

/// How a check is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// For machines: one JSON document.
    pub json: bool,
    /// Fails also when something is degraded.
    pub strict: bool,
    /// Whose classes are judged.
    pub controllers: Controllers,
}

/// Why a check came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The folder cannot be read.
    #[error(transparent)]
    Read(#[from] file::ReadError),
    /// The verdicts cannot be written.
    #[error("cannot write the verdicts: {0}")]
    Write(#[from] io::Error),
}

/// An object and all that is to be said about it.
#[derive(Debug)]
pub struct Judgement {
    /// Which.
    pub object: ObjectRef,
    /// Where it stands.
    pub place: Option<Place>,
    /// The worst of its findings; `None`: accepted.
    pub verdict: Option<Verdict>,
    /// Worst last.
    pub findings: Vec<Finding>,
}

/// All verdicts on a folder.
#[derive(Debug)]
pub struct Verdicts {
    /// By object.
    pub objects: Vec<Judgement>,
    /// What was not judged, and why.
    pub notes: Vec<String>,
}

/// Judges a folder and writes the verdicts.
pub fn run(dir: &Path, options: Options, out: &mut impl Write) -> Result<Outcome, CheckError> {
    let snapshot = file::read(dir, &Arc::from("this node"))?;
    let verdicts = Verdicts::new(&snapshot, options.controllers);
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &json::Document::from(&verdicts)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        verdicts.write(out)?;
    }
    Ok(verdicts.outcome(options.strict))
}

impl Verdicts {
    /// What is to be said of a snapshot.
    pub fn new(snapshot: &Snapshot, controllers: Controllers) -> Self {
        let (_, report) = Translator::new(controllers).translate(snapshot);
        let mut notes = Vec::new();
        let mut objects: BTreeMap<(ObjectRef, Option<Place>), Vec<Finding>> = BTreeMap::new();
        for (object, place) in judged(snapshot, controllers) {
            objects.insert((object.clone(), place.cloned()), Vec::new());
        }
        let (slices, secrets) = (!snapshot.endpoints.is_empty(), !snapshot.secrets.is_empty());
        for finding in report.findings {
            let cause = finding.fault.cause;
            let unjudged = [
                (Cause::NoEndpoints, slices, "EndpointSlices"),
                (Cause::SecretMissing, secrets, "Secrets of type kubernetes.io/tls"),
            ];
            let mut unjudged = unjudged.iter().filter(|(of, judged, _)| *of == cause && !judged);
            match unjudged.next() {
                Some((.., kind)) => notes.push(format!(
                    "the folder holds no {kind}: what refers to them is not judged"
                )),
                None => {
                    let key = (finding.object.clone(), finding.place.clone());
                    objects.entry(key).or_default().push(finding);
                }
            }
        }
        notes.extend(
            snapshot
                .foreign
                .iter()
                .map(|kind| format!("{kind}: objects of this kind are not used")),
        );
        let theirs: HashSet<_> = left_to_ingress_nginx(snapshot, controllers)
            .map(|entry| Arc::as_ptr(&entry.value))
            .collect();
        notes.extend(ingresses_of_nginx(theirs.len()));
        notes.extend(foreign_ingresses(snapshot, |entry| {
            theirs.contains(&Arc::as_ptr(&entry.value))
        }));
        notes.sort();
        notes.dedup();
        let judgement = |((object, place), mut findings): ((_, _), Vec<Finding>)| {
            findings.sort_by(|a, b| a.fault.cmp(&b.fault));
            Judgement {
                verdict: findings.iter().map(|finding| finding.fault.verdict).max(),
                object,
                place,
                findings,
            }
        };
        Self {
            objects: objects.into_iter().map(judgement).collect(),
            notes,
        }
    }

    /// Whether anything is refused or, when `strict`, degraded.
    pub fn outcome(&self, strict: bool) -> Outcome {
        let worst = self.objects.iter().filter_map(|object| object.verdict).max();
        match worst {
            Some(Verdict::Refused) => Outcome::Failed,
            Some(Verdict::Degraded) if strict => Outcome::Failed,
            Some(Verdict::Degraded) | None => Outcome::Passed,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut counts = [0_usize; 3];
        for judgement in &self.objects {
            let (word, [accepted, degraded, refused]) = (word(judgement.verdict), &mut counts);
            *match judgement.verdict {
                None => accepted,
                Some(Verdict::Degraded) => degraded,
                Some(Verdict::Refused) => refused,
            } += 1;
            write!(out, "{word:<8}  {}", judgement.object)?;
            if let Some(place) = &judgement.place {
                write!(out, "  ({place})")?;
            }
            writeln!(out)?;
            for finding in &judgement.findings {
                writeln!(out, "    - {}: {}", finding.fault.verdict, finding.fault)?;
            }
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        let [accepted, degraded, refused] = counts;
        writeln!(out, "{accepted} accepted, {degraded} degraded, {refused} refused")
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "accepted",
        Some(Verdict::Degraded) => "degraded",
        Some(Verdict::Refused) => "refused",
    }
}

/// How Ingresses that are ingress-nginx's become ours.
fn ingresses_of_nginx(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} Ingress(es) belong to classes of controller {INGRESS_NGINX}: not judged; `check` judges them and \
             `run` serves them, as they are, with --take-over-ingress-nginx"
        )
    })
}

/// Ingresses of classes that the folder does not define, counted by class: perhaps a class was forgotten. Without
/// those that were told of already.
fn foreign_ingresses(snapshot: &Snapshot, told: impl Fn(&Entry<Ingress>) -> bool) -> Vec<String> {
    let mut foreign: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for entry in snapshot.ingresses.iter().filter(|entry| !told(entry)) {
        let class = entry.value.class.as_ref().or(snapshot.default_class.as_ref());
        let defined = snapshot
            .classes
            .iter()
            .any(|defined| Some(&defined.value.object.name) == class);
        if !defined {
            *foreign.entry(class.map(|class| &**class)).or_default() += 1;
        }
    }
    let note = |(class, count): (Option<&str>, usize)| match class {
        Some(class) => format!(
            "{count} Ingress(es) of class `{class}`, which no IngressClass of the folder defines: not judged"
        ),
        None => format!("{count} Ingress(es) without a class, and there is no default class: not judged"),
    };
    foreign.into_iter().map(note).collect()
}

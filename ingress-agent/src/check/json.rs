//! Verdicts for machines.

use serde::Serialize;

use super::{Judgement, Verdicts, word};
use crate::digest::{Cause, Fault};

/// All verdicts: what `check --json` prints.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    objects: Vec<Object<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Object<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    /// `null`: the object stands in no file.
    file: Option<&'a str>,
    verdict: &'a str,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    cause: Cause,
    field: &'a str,
    found: &'a str,
    expected: &'a str,
    nearest: Option<&'a str>,
    consequence: &'a str,
    change: &'a str,
}

impl<'a> From<&'a Verdicts> for Document<'a> {
    fn from(verdicts: &'a Verdicts) -> Self {
        Self {
            objects: verdicts.objects.iter().map(Object::from).collect(),
            notes: &verdicts.notes,
        }
    }
}

impl<'a> From<&'a Judgement> for Object<'a> {
    fn from(judgement: &'a Judgement) -> Self {
        let findings = judgement
            .findings
            .iter()
            .map(|finding| Finding::from(&finding.fault));
        Self {
            kind: judgement.object.kind,
            namespace: &judgement.object.namespace,
            name: &judgement.object.name,
            file: judgement.place.as_ref().map(|place| &*place.file),
            verdict: word(judgement.verdict),
            findings: findings.collect(),
        }
    }
}

impl<'a> From<&'a Fault> for Finding<'a> {
    fn from(fault: &'a Fault) -> Self {
        let Fault {
            verdict: _,
            field,
            cause,
            found,
            expected,
            nearest,
            consequence,
            change,
        } = fault;
        Self {
            cause: *cause,
            field,
            found,
            expected,
            nearest: nearest.as_deref(),
            consequence,
            change,
        }
    }
}

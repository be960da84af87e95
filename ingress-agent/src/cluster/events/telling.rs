//! Which Event says what. Pure: whoever leads makes the same of the same finding, so that none is made twice.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use sha2::{Digest as _, Sha256};

use crate::digest::Class;
use crate::model::ObjectRef;
use crate::translate::{CONTROLLER, Entry, Finding};

/// As long as a note may be (events.k8s.io/v1, `note`), in bytes.
const LONGEST_NOTE: usize = 1024;
/// As much of an object's name as an Event's name has of it.
const LONGEST_NAME: usize = 200;
/// Where Events of objects without a namespace are, as `kubectl describe` looks for them.
const DEFAULT_NAMESPACE: &str = "default";

/// What is to be said of an object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Telling {
    pub(super) object: ObjectRef,
    reason: String,
    note: String,
}

impl Telling {
    /// What a finding says.
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            object: finding.object.clone(),
            reason: camel_case(finding.fault.cause.name()),
            note: shorten(format!("{}: {}", finding.fault.verdict, finding.fault)),
        }
    }

    /// What is said of a class while there is no VipPool.
    pub(super) fn no_pool(class: &Entry<Class>, example: &str) -> Self {
        Self {
            object: class.value.object.clone(),
            reason: "NoVipPool".to_owned(),
            note: format!(
                "there is no VipPool: its Ingresses are served at the nodes' own addresses. For addresses of their \
                 own make one, for example:\n{example}"
            ),
        }
    }

    /// The Event's namespace.
    pub(super) fn namespace(&self) -> &str {
        match &*self.object.namespace {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        }
    }

    /// The Event, of an object with this `uid`.
    pub(super) fn event(&self, uid: Option<String>, teller: &str, now: MicroTime) -> Event {
        let mut event = Event {
            metadata: ObjectMeta {
                name: Some(self.name(uid.as_deref().unwrap_or_default())),
                namespace: Some(self.namespace().to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(now),
            action: Some("Translate".to_owned()),
            reason: Some(self.reason.clone()),
            note: Some(self.note.clone()),
            type_: Some("Warning".to_owned()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(teller.to_owned()),
            ..Event::default()
        };
        let regarding = event.regarding.get_or_insert_default();
        regarding.api_version = Some(api_version(self.object.kind).to_owned());
        regarding.kind = Some(self.object.kind.to_owned());
        regarding.name = Some(self.object.name.to_string());
        regarding.namespace = Some(self.object.namespace.to_string()).filter(|name| !name.is_empty());
        regarding.uid = uid;
        event
    }

    /// The same for the same words about the same object.
    fn name(&self, uid: &str) -> String {
        let mut hash = Sha256::new();
        for part in [
            self.object.kind,
            &self.object.namespace,
            &self.object.name,
            uid,
            &self.reason,
            &self.note,
        ] {
            hash.update(part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
        let hash: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name: String = self.object.name.chars().take(LONGEST_NAME).collect();
        format!("{}.{hash}", name.trim_end_matches(['.', '-']))
    }
}

/// The API version of a kind that findings are about.
pub(super) fn api_version(kind: &str) -> &'static str {
    match kind {
        "Ingress" | "IngressClass" => "networking.k8s.io/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Lease" => "coordination.k8s.io/v1",
        "VipPool" => "ingress-agent.dev/v1alpha1",
        _ => "v1",
    }
}

/// `tls-pair` as `TlsPair`: what a reason is to look like.
fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters.as_str().chars()).collect::<String>()
    };
    name.split('-').map(word).collect()
}

fn shorten(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let end = (0..=LONGEST_NOTE - 3)
            .rev()
            .find(|end| note.is_char_boundary(*end));
        note.truncate(end.unwrap_or_default());
        note.push_str("...");
    }
    note
}

/// Whose `uid` nobody can ask for: it is no object of the API.
pub(super) fn is_an_object(object: &ObjectRef) -> bool {
    matches!(
        object.kind,
        "Ingress" | "IngressClass" | "Service" | "EndpointSlice" | "Secret" | "VipPool" | "Lease"
    )
}

/// What of a report is still to be told, in its order.
pub(super) fn tellings<'a>(findings: &'a [Finding]) -> impl Iterator<Item = Telling> + 'a {
    findings
        .iter()
        .filter(|finding| is_an_object(&finding.object))
        .map(Telling::of)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::digest::{Cause, Fault};

    fn finding(found: &str) -> Finding {
        Finding {
            object: ObjectRef {
                kind: "Ingress",
                namespace: Arc::from("shop"),
                name: Arc::from("web"),
            },
            place: None,
            fault: Fault::refused(Cause::TlsPair, "spec.tls[0]")
                .found(found.to_owned())
                .expected("a pair")
                .so("nothing")
                .change("it"),
        }
    }

    /// Something that is said in a namespace's Event.
    pub(in crate::cluster::events) fn telling(found: &str) -> Telling {
        Telling::of(&finding(found))
    }

    #[test]
    fn an_event_has_the_report_s_words() {
        let telling = Telling::of(&finding("no pair"));
        let event = telling.event(
            Some("7".to_owned()),
            "node",
            MicroTime(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        );
        let regarding = event.regarding.unwrap();
        assert_eq!(regarding.uid.as_deref(), Some("7"));
        assert_eq!(regarding.api_version.as_deref(), Some("networking.k8s.io/v1"));
        assert_eq!(event.reason.as_deref(), Some("TlsPair"));
        let note = event.note.unwrap();
        assert_eq!(
            note,
            "refused: spec.tls[0]: found no pair, expected a pair; nothing: it"
        );
        assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    }

    #[test]
    fn the_same_words_have_one_name_and_others_another() {
        let name = |found: &str, uid: &str| Telling::of(&finding(found)).name(uid);
        assert_eq!(name("a", "1"), name("a", "1"));
        assert!(name("a", "1").starts_with("web."));
        assert_ne!(name("a", "1"), name("b", "1"));
        assert_ne!(name("a", "1"), name("a", "2"), "another object of the same name");
    }

    #[test]
    fn a_note_is_never_too_long_for_the_api() {
        let mut long = finding("");
        long.fault.found = Arc::from("\u{e9}".repeat(2000));
        let telling = Telling::of(&long);
        assert!(telling.note.len() <= LONGEST_NOTE && telling.note.ends_with("..."));
    }
}

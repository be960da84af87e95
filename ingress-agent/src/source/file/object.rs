//! From a document to digests, kind by kind.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Secret as ApiSecret, Service as ApiService};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress as ApiIngress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::unknown;
use crate::digest::vippool::VipPool;
use crate::digest::{self, Cause, Class, Endpoints, Fault, Ingress, Pool, Precedence, Secret, Service};
use crate::model::ObjectRef;

/// What a document holds that does not say.
const UNKNOWN: &str = "Object";
/// How an object without a name is named; no Kubernetes name has parentheses.
const UNNAMED: &str = "(unnamed)";

/// An object's value.
#[derive(Clone, Debug)]
pub(super) enum Digest {
    Ingress(Arc<Ingress>),
    Class(Arc<Class>),
    Service(Arc<Service>),
    Endpoints(Arc<Endpoints>),
    Secret(Arc<Secret>),
    Pool(Arc<Pool>),
}

/// What a document's object turned out to be.
pub(super) enum Read {
    /// An object we know, and what its digest could not see.
    Object(ObjectRef, Precedence, Digest, Vec<Fault>),
    /// An object we know, that we have no use for.
    Unused,
    /// A list: its items.
    List(Vec<Value>),
    /// An object of another kind, as `KIND (API VERSION)`.
    Foreign(String),
    /// It cannot be read.
    Refused(Box<Refused>),
}

/// Why an object cannot be read.
pub(super) struct Refused {
    /// Which, as far as it says.
    pub(super) name: ObjectRef,
    pub(super) fault: Fault,
    /// Where, inside the object.
    pub(super) path: Option<serde_path_to_error::Path>,
}

/// What an object says of itself before anything else is known of it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head {
    api_version: Value,
    kind: Value,
    metadata: Value,
}

/// Reads an object that is the `position`th of `file`. `last` finds the value it had before.
pub(super) fn read<'a>(
    mut value: Value,
    file: &Arc<str>,
    position: usize,
    last: impl Fn(&ObjectRef) -> Option<&'a Digest>,
) -> Read {
    // A sequence would do for a struct, but is no object.
    let head = if value.is_object() {
        Head::deserialize(&value)
    } else {
        Ok(Head::default())
    };
    let head = head.unwrap_or_default();
    let (Value::String(version), Value::String(kind)) = (&head.api_version, &head.kind) else {
        return refused(name(UNKNOWN, &head), no_kind());
    };
    if kind == "Secret" {
        unwrap_base64(&mut value);
    }
    // Of what may protect something, a slip is told.
    let written = matches!(kind.as_str(), "Ingress" | "VipPool").then(|| value.clone());
    macro_rules! known {
        ($kind:literal, $api:ty, $digest:ident: $digested:expr) => {
            match typed::<$api>(value, $kind, &head) {
                Ok((mut object, named)) => {
                    admit(&mut object.metadata, &named);
                    let slips = written
                        .map(|written| unknown::fields(&written, &object))
                        .unwrap_or_default();
                    if let ("VipPool", Some(slip)) = ($kind, slips.first()) {
                        return refused(named, unknown::refusal(slip.clone()));
                    }
                    let slips = slips.into_iter().map(unknown::fault).collect();
                    let precedence = Precedence::new(&object.metadata, file, position);
                    let previous = match last(&named) {
                        Some(Digest::$digest(previous)) => Some(previous),
                        Some(_) | None => None,
                    };
                    let digested: Option<_> = $digested(object, previous).into();
                    match digested {
                        Some(value) => Read::Object(named, precedence, Digest::$digest(value), slips),
                        None => Read::Unused,
                    }
                }
                Err(refused) => Read::Refused(refused),
            }
        };
    }
    match (version.as_str(), kind.as_str()) {
        ("networking.k8s.io/v1", "Ingress") => {
            known!("Ingress", ApiIngress, Ingress: digest::ingress::digest)
        }
        ("networking.k8s.io/v1", "IngressClass") => {
            known!("IngressClass", IngressClass, Class: digest::class::digest)
        }
        ("v1", "Service") => known!("Service", ApiService, Service: digest::service::digest),
        ("discovery.k8s.io/v1", "EndpointSlice") => {
            known!("EndpointSlice", EndpointSlice, Endpoints: digest::endpoints::digest)
        }
        ("v1", "Secret") => known!("Secret", ApiSecret, Secret: digest::secret::digest),
        ("ingress-agent.dev/v1alpha1", "VipPool") => {
            known!("VipPool", VipPool, Pool: digest::vippool::digest)
        }
        ("extensions/v1beta1" | "networking.k8s.io/v1beta1", "Ingress" | "IngressClass") => {
            let kind = if kind == "Ingress" {
                "Ingress"
            } else {
                "IngressClass"
            };
            refused(name(kind, &head), old_version(version))
        }
        (version, kind) => match kind.strip_suffix("List") {
            Some(item) => items(value, &head, version, item),
            None => Read::Foreign(format!("{kind} ({version})")),
        },
    }
}

/// The value by its type, and its name.
fn typed<T: DeserializeOwned>(
    value: Value,
    kind: &'static str,
    head: &Head,
) -> Result<(T, ObjectRef), Box<Refused>> {
    let name = name(kind, head);
    let (fault, path) = match serde_path_to_error::deserialize(value) {
        Ok(object) if *name.name != *UNNAMED => return Ok((object, name)),
        Ok(_) => (no_name(), None),
        Err(error) => {
            let fault = Fault::refused(Cause::Type, error.path().to_string())
                .found(error.inner().to_string())
                .expected("what the API's type says")
                .so("the object is not used")
                .change("correct the field");
            (fault, Some(error.path().clone()))
        }
    };
    Err(Box::new(Refused { name, fault, path }))
}

fn refused(name: ObjectRef, fault: Fault) -> Read {
    Read::Refused(Box::new(Refused {
        name,
        fault,
        path: None,
    }))
}

/// The API server takes base64 in lines, as `base64` prints it (Go's `encoding/base64` skips line ends).
fn unwrap_base64(secret: &mut Value) {
    let data = secret.get_mut("data").and_then(Value::as_object_mut);
    for text in data.into_iter().flatten().map(|(_, text)| text) {
        if let Value::String(text) = text {
            text.retain(|c| c != '\n' && c != '\r');
        }
    }
}

/// What the API server's admission does.
fn admit(metadata: &mut ObjectMeta, named: &ObjectRef) {
    metadata.namespace = (!named.namespace.is_empty()).then(|| named.namespace.to_string());
}

/// Kubernetes takes a missing namespace for `default`, but classes and pools belong to none.
fn name(kind: &'static str, head: &Head) -> ObjectRef {
    let text = |field: &str| {
        head.metadata
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let namespace = match kind {
        "IngressClass" | "VipPool" | UNKNOWN | "List" => "",
        _ => text("namespace").unwrap_or("default"),
    };
    ObjectRef {
        kind,
        namespace: Arc::from(namespace),
        name: Arc::from(text("name").unwrap_or(UNNAMED)),
    }
}

/// A list's items. Those of a typed list, as the API server itself returns it, do not repeat their kind.
fn items(mut value: Value, head: &Head, version: &str, kind: &str) -> Read {
    let mut items = match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => Vec::new(),
        Some(other) => {
            let fault = Fault::refused(Cause::ListItems, "items")
                .found(format!("`{}`", excerpt(&other)))
                .expected("a list of objects")
                .so("nothing of the list is used")
                .change("write the objects as items of the list");
            return refused(name("List", head), fault);
        }
    };
    for item in items
        .iter_mut()
        .filter_map(Value::as_object_mut)
        .filter(|_| !kind.is_empty())
    {
        item.entry("apiVersion").or_insert_with(|| Value::from(version));
        item.entry("kind").or_insert_with(|| Value::from(kind));
    }
    Read::List(items)
}

fn excerpt(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

fn no_kind() -> Fault {
    Fault::refused(Cause::Kind, "")
        .found("a document without `apiVersion` and `kind`")
        .expected("a Kubernetes object")
        .so("the document is not used")
        .change("write `apiVersion` and `kind`, or move the file elsewhere")
}

fn no_name() -> Fault {
    Fault::refused(Cause::Name, "metadata.name")
        .found("no name")
        .expected("the object's name")
        .so("the object is not used")
        .change("name the object")
}

fn old_version(version: &str) -> Fault {
    Fault::refused(Cause::ApiVersion, "apiVersion")
        .found(format!("`{version}`, which Kubernetes 1.22 removed"))
        .expected("`networking.k8s.io/v1`")
        .so("the object is not used")
        .change(
            "write `apiVersion: networking.k8s.io/v1`, a `pathType` for every path, and \
             `backend: {service: {name: NAME, port: {number: NUMBER}}}`",
        )
}

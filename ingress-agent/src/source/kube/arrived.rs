//! An object as the API server sent it: by its type, or why it is not of it.

mod text;

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use crate::digest::Fault;
use crate::source::fault;
use text::Text;

/// One object that is not of its type never spoils the list or the watch that it came with.
///
/// A page of a list is many of them. Each is read by its type when its turn comes, and holds one block of memory until
/// then: blocks of its fields, between those of the values that stay, would leave holes.
#[derive(Clone, Debug)]
pub(super) struct Arrived<K> {
    /// No more than its name, version and age.
    pub(super) metadata: ObjectMeta,
    text: Text,
    kind: PhantomData<fn() -> K>,
}

impl<K: DeserializeOwned> Arrived<K> {
    /// The object, or where it is not of its type.
    pub(super) fn object(&self) -> Result<K, Fault> {
        let Text(text) = &self.text;
        serde_json::from_slice(text).or_else(|_| {
            // Once more, to say where. A text is always JSON.
            let value: Value = serde_json::from_slice(text).unwrap_or_default();
            serde_path_to_error::deserialize(value).map_err(|error| fault::wrong_type(&error))
        })
    }
}

impl<'de, K> Deserialize<'de> for Arrived<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let metadata = match serde_json::from_slice(&text.0) {
            Ok(Named { metadata }) => metadata,
            Err(_) => Metadata::of(&serde_json::from_slice(&text.0).map_err(D::Error::custom)?),
        };
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            resource_version: metadata.resource_version,
            creation_timestamp: metadata.creation_timestamp,
            ..ObjectMeta::default()
        };
        Ok(Self {
            metadata,
            text,
            kind: PhantomData,
        })
    }
}

/// What is read of an object of any type.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
}

impl Metadata {
    /// Of metadata that are not of their type, what a watch cannot go on without.
    fn of(object: &Value) -> Self {
        let text = |field: &str| object.get("metadata")?.get(field)?.as_str().map(str::to_owned);
        Self {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            creation_timestamp: None,
        }
    }
}

impl<K: Resource> Resource for Arrived<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests;

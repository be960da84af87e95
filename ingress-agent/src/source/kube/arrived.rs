//! An object as the API server sent it: by its type, or why it is not of it.

mod text;

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use crate::digest::Fault;
use crate::source::fault;
use text::Text;

/// One object that is not of its type never spoils the list or the watch that it came with.
#[derive(Clone, Debug)]
pub(super) struct Arrived<K> {
    /// Of a sound object no more than its name, version and age.
    pub(super) metadata: ObjectMeta,
    pub(super) object: Result<K, Fault>,
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Arrived<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        if let Ok(object) = serde_json::from_slice::<K>(&text) {
            let metadata = object.meta();
            let metadata = ObjectMeta {
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                resource_version: metadata.resource_version.clone(),
                creation_timestamp: metadata.creation_timestamp.clone(),
                ..ObjectMeta::default()
            };
            return Ok(Self {
                metadata,
                object: Ok(object),
            });
        }
        // Once more, to say where it is not of its type.
        let value: Value = serde_json::from_slice(&text).map_err(D::Error::custom)?;
        let metadata = metadata(&value);
        let object = serde_path_to_error::deserialize(value).map_err(|error| fault::wrong_type(&error));
        Ok(Self { metadata, object })
    }
}

/// An object's metadata; where they are not of their type, what a watch cannot go on without.
fn metadata(object: &Value) -> ObjectMeta {
    let Some(metadata) = object.get("metadata") else {
        return ObjectMeta::default();
    };
    ObjectMeta::deserialize(metadata).unwrap_or_else(|_| {
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        }
    })
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

//! An object as the API server sent it: by its type, or why it is not of it.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

use crate::digest::Fault;
use crate::source::fault;

/// One object that is not of its type never spoils the list or the watch that it came with.
#[derive(Clone, Debug)]
pub(super) struct Arrived<K> {
    pub(super) metadata: ObjectMeta,
    pub(super) object: Result<K, Fault>,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Arrived<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        // Who wrote which field when: the largest part of many objects.
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
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
